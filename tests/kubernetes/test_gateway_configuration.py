"""The gateway's configuration for Kubernetes, read by the real Envoy."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from weir_local.mesh import Mesh, program

pytestmark = pytest.mark.kubernetes


def test_envoy_accepts_it(k8s: Path, mesh: Mesh, tmp_path: Path) -> None:
    ca = mesh.secrets_folder() / "ca"
    text = (k8s / "base" / "gateway" / "envoy.yaml").read_text("utf-8")
    # The files that are mounted there: Envoy reads them even when it only checks.
    for mounted, real in (
        ("/etc/weir/tls/tls.crt", ca / "gateway.pem"),
        ("/etc/weir/tls/tls.key", ca / "gateway-key.pem"),
        ("/etc/weir/tls/ca.crt", ca / "ca.pem"),
        ("/etc/weir/jwks/jwks.json", next(mesh.secrets_folder().rglob("jwks*"))),
    ):
        assert mounted in text
        text = text.replace(mounted, str(real))
    config = tmp_path / "envoy.yaml"
    config.write_text(text)
    envoy = program("envoy")
    assert envoy is not None
    arguments = ("--mode", "validate", "--config-path", str(config), "--concurrency", "2", "--disable-hot-restart")
    checked = subprocess.run([str(envoy), *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert checked.returncode == 0, checked.stderr[-2000:]
