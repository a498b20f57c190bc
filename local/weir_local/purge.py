"""Deletes everything that a mesh left on disk."""

from __future__ import annotations

import shutil
from pathlib import Path

from weir_local.privileges import foreign_folder

OURS = frozenset(
    {
        *("logs", "run", "secrets", "postgres", "kafka", "valkey", "temporal", "traces", "gateway", "kubernetes"),
        *(
            "lake",
            "exports",
            "models",
            "model-store",
            "bench",
            "chaos",
            "ports.json",
            "ports.lock",
            "mesh.json",
            "demo-report.json",
        ),
    }
)


def purge(state: Path) -> None:
    """Remove what is ours below ``state``, then ``state`` if nothing else is in it. The launcher's lock stays until the end."""
    for name in OURS:
        path = state / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for draft in state.glob(".mesh.json.*"):
        draft.unlink(missing_ok=True)
    foreign = foreign_folder(state)
    if foreign.exists():
        shutil.rmtree(foreign)
    (state / "launcher.lock").unlink(missing_ok=True)
    if state.is_dir() and not any(state.iterdir()):
        state.rmdir()
