"""What ``k8s/generate.py`` writes is what is committed, and holds every variable of every service and no secret."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml
from weir_local.environment import SERVICES, Passwords, service_environment

PLANTED = "a-password-of-this-test"


@pytest.fixture(scope="module")
def generator(k8s: Path) -> dict[str, Any]:
    return runpy.run_path(str(k8s / "generate.py"))


def test_the_committed_files_are_what_the_generator_gives(k8s: Path, generator: dict[str, Any]) -> None:
    written = generator["files"]()
    assert len(written) == 2 * len(SERVICES) + 1
    stale = [path for path, text in written.items() if (k8s / path).read_text("utf-8") != text]
    assert not stale, "run `python k8s/generate.py` and commit what it writes"


@pytest.mark.parametrize("service", SERVICES)
def test_every_variable_is_there_once_and_those_with_a_password_are_references(
    k8s: Path, generator: dict[str, Any], service: str
) -> None:
    stem = f"weir_{service.replace('-', '_')}"
    planted = dict.fromkeys((stem, f"{stem}_owner", "weir_vault", "weir_vault_owner"), PLANTED)
    wanted = service_environment(service, generator["addresses"](service), Passwords(planted, planted))
    public = _variables(k8s / "base" / service / "environment.env")
    referenced = _references(k8s / "base" / service / "secret-environment.yaml")
    secret = {name for name, value in wanted.items() if PLANTED in value}
    assert public == {name: value for name, value in wanted.items() if name not in secret}
    # Not all of them: a service is given no password that its settings do not read.
    assert referenced <= secret
    fields = generator["SETTINGS"][service].model_fields
    prefix = generator["SETTINGS"][service].model_config["env_prefix"]
    unread = {name for name in secret if name.removeprefix(prefix).split("__")[0].lower() not in fields}
    assert referenced == secret - unread


def test_a_service_that_reads_no_password_is_given_none(k8s: Path) -> None:
    # anomaly keeps no features.
    given = _references(k8s / "base" / "anomaly" / "secret-environment.yaml")
    assert given == {"WEIR_ANOMALY_POSTGRES__DSN", "WEIR_ANOMALY_POSTGRES__OWNER_DSN"}


@pytest.mark.parametrize("service", SERVICES)
def test_the_settings_accept_what_the_pod_is_given(
    k8s: Path, generator: dict[str, Any], service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = k8s / "base" / service
    _, forms = generator["environment"](service)
    for name, value in (_variables(folder / "environment.env") | forms).items():
        monkeypatch.setenv(name, value)
    settings = generator["SETTINGS"][service]()
    assert settings.listen.host == "0.0.0.0"
    assert settings.telemetry.environment == "kubernetes"


@pytest.mark.parametrize("service", SERVICES)
def test_every_path_in_the_environment_is_mounted(
    k8s: Path, base: dict[str, list[dict[str, Any]]], service: str
) -> None:
    [deployment] = [one for one in base[service] if one["kind"] == "Deployment"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    mounts = tuple(f"{mount['mountPath']}/" for mount in container["volumeMounts"])
    in_the_image = ("/opt/weir/models",)
    for name, value in _variables(k8s / "base" / service / "environment.env").items():
        if value.startswith("/") and value not in in_the_image:
            assert f"{value}/".startswith(mounts), f"{name}={value} is in none of {mounts}"


def test_the_gateways_admin_listener_only_reads(k8s: Path) -> None:
    document = yaml.safe_load((k8s / "base" / "gateway" / "envoy.yaml").read_text("utf-8"))
    assert document["admin"]["allow_paths"] == [{"exact": "/ready"}, {"prefix": "/stats"}]


def test_no_secret_is_in_the_folder(k8s: Path) -> None:
    for path in sorted(k8s.rglob("*.yaml")):
        if path.name == "envoy.yaml":
            continue
        for document in yaml.safe_load_all(path.read_text("utf-8")):
            assert document["kind"] != "Secret", path
            assert "secretGenerator" not in document, path


def _variables(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("#")]
    pairs = [line.partition("=") for line in lines]
    assert len({name for name, _, _ in pairs}) == len(pairs), "a variable is there twice"
    return {name: value for name, _, value in pairs}


def _references(path: Path) -> set[str]:
    document = yaml.safe_load(path.read_text("utf-8"))
    [container] = document["spec"]["template"]["spec"]["containers"]
    for one in container.get("env", []):
        assert one["valueFrom"]["secretKeyRef"]["key"] == one["name"]
    return {one["name"] for one in container.get("env", [])}
