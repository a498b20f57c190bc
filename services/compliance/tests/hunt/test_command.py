"""`weir hunt` at a terminal, as far as it needs no mesh: what it cannot do it says, and never with exit code 0."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result
from weir_compliance.hunt.command import hunt_command
from weir_local.environment import SERVICES

VALUE = "ada.q7w8e9@example.com"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a mesh would be."""
    folder = tmp_path / "state"
    monkeypatch.setenv("WEIR_STATE_DIR", str(folder))
    monkeypatch.setenv("WEIR_CACHE_DIR", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def mesh(state: Path) -> Path:
    """A mesh that never ran, with ports that it need not choose: choosing opens sockets."""
    state.mkdir()
    servers = ("postgres", "kafka", "valkey", "temporal", "traces-otlp", "traces-http", "gateway-admin")
    listeners = (f"{service}-{kind}" for service in SERVICES for kind in ("http", "grpc"))
    (state / "ports.json").write_text(json.dumps(dict.fromkeys((*servers, *listeners), 1)))
    return state


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    file = tmp_path / "planted"
    file.write_text(VALUE)
    return file


def run(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(hunt_command)
    return CliRunner().invoke(app, list(arguments))


def test_without_anything_to_look_for_it_says_what_it_wants(state: Path) -> None:
    result = run()
    assert result.exit_code == 2
    assert "name a file of planted values" in result.stderr


def test_an_unusable_file_and_no_mesh_are_said(state: Path, planted: Path, tmp_path: Path) -> None:
    missing = run(str(tmp_path / "nothing"))
    assert (missing.exit_code, "cannot be read" in missing.stderr) == (2, True)
    nowhere = run(str(planted))
    assert (nowhere.exit_code, "there is no mesh" in nowhere.stderr) == (2, True)


def test_a_store_that_does_not_exist_is_said(mesh: Path, planted: Path) -> None:
    result = run(str(planted), "--store", "cassandra")
    assert result.exit_code == 2
    assert "there is no store cassandra; there are: kafka, kafka files, lake" in " ".join(result.stderr.split())


def test_a_find_is_shown_by_label_and_a_missing_store_is_not_clean(mesh: Path, planted: Path) -> None:
    (mesh / "logs").mkdir()
    log = mesh / "logs" / "ingest.log"
    log.write_text("quiet\n")
    clean = run(str(planted), "--store", "logs")
    assert (clean.exit_code, "0 of 1 planted values found" in clean.stdout) == (0, True)
    unread = run(str(planted), "--store", "logs", "--store", "traces")
    assert (unread.exit_code, "traces could not be read" in unread.stdout) == (2, True)
    log.write_text(f"sent to {VALUE}\n")
    found = run(str(planted), "--store", "logs", "--store", "traces")
    assert found.exit_code == 1
    assert "line-1" in found.stdout
    assert VALUE not in found.output
