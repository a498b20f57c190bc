"""The command as it is typed: what it refuses, how it says so, and that looking changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result
from weir_local.cli import app


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WEIR_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("WEIR_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "state"


def _weir(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("up", "--only", "kafak"), "there is no component 'kafak'; there are: postgres, valkey, kafka"),
        (("up", "--only", ","), "--only names no component"),
        (("restart", "kafak"), "there is no component 'kafak'"),
        (("logs", "kafak"), "there is no component 'kafak'"),
        (("env", "kafak"), "there is no service 'kafak'"),
        (("down", "--purge", "--only", "kafka"), "--purge deletes the data of the whole mesh"),
    ],
)
@pytest.mark.usefixtures("state")
def test_a_mistake_is_named_with_what_would_be_right(arguments: tuple[str, ...], words: str) -> None:
    result = _weir(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.output


def test_status_before_any_start_shows_all_as_stopped_and_makes_nothing(state: Path) -> None:
    result = _weir("status", "--json")
    assert result.exit_code == 0
    statuses = json.loads(result.stdout)
    assert [one["name"] for one in statuses][:3] == ["postgres", "valkey", "kafka"]
    assert {one["state"] for one in statuses} == {"stopped"}
    assert not state.exists()


def test_down_before_any_start_is_no_error_and_makes_nothing(state: Path) -> None:
    result = _weir("down", "--purge", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"stopped": [], "purged": True}
    assert not state.exists()


@pytest.mark.usefixtures("state")
def test_logs_before_any_start_are_empty() -> None:
    assert _weir("logs").stdout == ""


def test_logs_are_shown_as_they_are(state: Path) -> None:
    (state / "logs").mkdir(parents=True)
    (state / "logs" / "kafka.log").write_text("INFO [broker] [/red] up\n")
    assert _weir("logs", "kafka").stdout == "INFO [broker] [/red] up\n"
    assert "INFO [broker] [/red] up" in _weir("logs").stdout
    assert json.loads(_weir("logs", "--json").stdout) == {"component": "kafka", "line": "INFO [broker] [/red] up"}


@pytest.mark.usefixtures("state")
def test_help_teaches() -> None:
    text = _weir("up", "--help").stdout
    assert "weir up --kubernetes" in text
    assert "Start what is missing" in text
