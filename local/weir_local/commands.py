"""The commands that other parts of the mesh bring to `weir`: one line each, imported only when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec

import typer

COMMANDS: tuple[tuple[str, str], ...] = (
    ("audit", "weir_compliance.cli:audit"),
    ("export", "weir_compliance.cli:export"),
    ("hunt", "weir_compliance.hunt.command:hunt_command"),
    ("fraud", "weir_fraud.cli:fraud"),
    ("ledger", "weir_local.ledger:ledger"),
    ("demo", "weir_local.demo.command:demo"),
)
"""Name, and `module:attribute` of a typer application (a group of commands) or of a function (one command)."""


def add_commands(app: typer.Typer, arguments: Sequence[str]) -> None:
    """Add the command that the arguments begin with, or all if they ask for help.

    The others stay unimported: a service's client libraries cost half a second, which `weir status` need not pay.
    """
    first = next((argument for argument in arguments if not argument.startswith("-")), None)
    own = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    if first in own:
        return
    for name, target in COMMANDS:
        module, _, attribute = target.partition(":")
        if (first is None or first == name or first not in dict(COMMANDS)) and _importable(module):
            command = getattr(import_module(module), attribute, None)
            if isinstance(command, typer.Typer):
                app.add_typer(command, name=name)
            elif callable(command):
                app.command(name)(command)


def _importable(module: str) -> bool:
    """Whether the module exists; a missing parent means no."""
    parts = module.split(".")
    return all(find_spec(".".join(parts[: end + 1])) is not None for end in range(len(parts)))
