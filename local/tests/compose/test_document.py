"""docker-compose.yml is what the code gives, and follows the house rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from weir_local.compose import document, secrets
from weir_local.environment import SERVICES

ROOT = Path(__file__).parents[3]
OURS = (*SERVICES, "gateway")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(document.text())
    return loaded


def test_the_committed_file_is_what_the_code_gives() -> None:
    assert (ROOT / "docker-compose.yml").read_text() == document.text(), "run `make manifests` and commit"


def test_no_password_is_in_the_file(compose: dict[str, Any]) -> None:
    assert "planted-password" not in document.text()
    for service in SERVICES:
        public, secret = document.environment(service)
        assert compose["services"][service]["environment"] == public
        assert secret
        assert not set(secret) & set(public)


@pytest.mark.parametrize("service", OURS)
def test_our_containers_can_do_little(compose: dict[str, Any], service: str) -> None:
    one = compose["services"][service]
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert one["healthcheck"]["test"] == ["CMD", "/opt/weir/healthy"]
    assert "user" not in one  # the image's own, which is not root


def test_every_image_is_pinned(compose: dict[str, Any]) -> None:
    for name, one in compose["services"].items():
        tag = one["image"].rpartition(":")[2]
        assert tag not in ("", "latest"), name
        if name not in OURS:
            assert tag[0].isdigit(), name


def test_only_the_gateway_and_the_tools_of_people_listen_outside_and_only_here(compose: dict[str, Any]) -> None:
    published = {name: one["ports"] for name, one in compose["services"].items() if "ports" in one}
    assert set(published) == {"gateway", "temporal", "traces"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_everything_that_is_mounted_is_made(tmp_path: Path, compose: dict[str, Any]) -> None:
    state = secrets.make(tmp_path)
    before = {path: path.read_bytes() for path in sorted(state.rglob("*")) if path.is_file()}
    wanted = [one["file"] for one in compose["secrets"].values()]
    for one in compose["services"].values():
        wanted += [entry["path"] for entry in one.get("env_file", ())]
        wanted += [volume.split(":")[0] for volume in one.get("volumes", ()) if volume.startswith("./")]
    for path in wanted:
        assert (tmp_path / path).is_file(), path
        assert (tmp_path / path).stat().st_mode & 0o777 == 0o644, path
    assert (state / "files").stat().st_mode & 0o077 == 0
    assert (state / "environment").stat().st_mode & 0o077 == 0
    secrets.make(tmp_path)
    assert {path: path.read_bytes() for path in sorted(state.rglob("*")) if path.is_file()} == before
