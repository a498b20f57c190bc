"""Commands that other parts bring are imported only when they are asked for."""

from __future__ import annotations

import sys
import types

import pytest
import typer
from typer.testing import CliRunner
from weir_local import commands


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    monkeypatch.setattr(
        commands,
        "COMMANDS",
        (("group", "weir_test_group:group"), ("single", "weir_test_single:single"), ("absent", "weir_no_such.cli:app")),
    )
    group = typer.Typer()
    group.command("verify")(lambda: print("verified"))
    group.command("list")(lambda: print("listed"))
    for name, attribute in (("group", group), ("single", lambda: print("done"))):
        module = types.ModuleType(f"weir_test_{name}")
        module.__spec__ = types.SimpleNamespace(name=module.__name__)  # type: ignore[assignment]
        setattr(module, name, attribute)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    made = typer.Typer()
    made.command("up")(lambda: print("up"))
    made.command("down")(lambda: print("down"))
    return made


def test_a_group_and_a_single_command(app: typer.Typer) -> None:
    commands.add_commands(app, ["group", "verify"])
    assert CliRunner().invoke(app, ["group", "verify"]).stdout == "verified\n"
    commands.add_commands(app, ["single"])
    assert CliRunner().invoke(app, ["single"]).stdout == "done\n"


def test_our_own_commands_import_nothing(app: typer.Typer) -> None:
    commands.add_commands(app, ["up"])
    assert not app.registered_groups
    assert len(app.registered_commands) == 2


def test_help_lists_all_that_are_installed(app: typer.Typer) -> None:
    commands.add_commands(app, ["--help"])
    text = CliRunner().invoke(app, ["--help"]).stdout
    assert "group" in text
    assert "single" in text
    assert "absent" not in text


def test_the_list_names_things_that_exist() -> None:
    for name, target in commands.COMMANDS:
        module, _, attribute = target.partition(":")
        assert commands._importable(module), name
        __import__(module)
        assert getattr(sys.modules[module], attribute) is not None
