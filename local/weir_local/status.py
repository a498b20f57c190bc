"""What is known of the components, and `mesh.json`, where others read it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from weir_local.component import Component
from weir_local.mesh import Mesh

State = Literal["waiting", "preparing", "starting", "running", "failed", "not serving", "left out", "stopped", "dead"]

TROUBLE: frozenset[State] = frozenset({"failed", "not serving", "dead"})


@dataclass
class Status:
    """One component. `seconds`: after a start, how long that took; otherwise how long it has been running."""

    name: str
    state: State
    detail: str = ""
    url: str | None = None
    pid: int | None = None
    seconds: float | None = None
    log: str | None = None
    advice: str = ""
    last_lines: list[str] | None = None
    exit_code: int | None = None


Observer = Callable[[Status], None]


def write_mesh_file(
    mesh: Mesh, components: Sequence[Component], statuses: Sequence[Status], *, remember_parts: bool
) -> None:
    """Bring `mesh.json` up to date with these statuses; what is said of other components stays.

    Whether the mesh has a control plane or proxied links is what its last start said, so only a start writes it.
    """
    before = read_mesh_file(mesh.state)
    known = dict(before.get("components", {}))
    ports = {component.name: component.ports for component in components}
    for status in statuses:
        known[status.name] = {**asdict(status), "ports": {port: mesh.port(port) for port in ports[status.name]}}
    document = {
        "state_dir": str(mesh.state),
        "kubernetes": mesh.kubernetes if remember_parts else bool(before.get("kubernetes", False)),
        "links": mesh.links if remember_parts else bool(before.get("links", False)),
        "components": {name: known[name] for name in [*ports, *known] if name in known},
    }
    draft = mesh.state / f".mesh.json.{os.getpid()}"
    draft.write_text(json.dumps(document, indent=2) + "\n")
    draft.replace(mesh.state / "mesh.json")


def read_mesh_file(state: Path) -> dict[str, Any]:
    """The document, or an empty one where no mesh was started yet (or a full disk left half a file of an old version)."""
    try:
        document = json.loads((state / "mesh.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
