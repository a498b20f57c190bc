"""What the mesh's processes use, read from /proc."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

from weir_local.mesh import Mesh
from weir_local.processes import Processes
from weir_local.registry import components


def cpu_seconds(mesh: Mesh) -> dict[str, float]:
    """CPU seconds of each component with all that descends from it; those of children that have ended count in their parent."""
    tick = os.sysconf("SC_CLK_TCK")
    seconds: dict[int, float] = {}
    children: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            text = (entry / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        fields = text[text.rindex(")") + 2 :].split()
        pid = int(entry.name)
        children[int(fields[1])].append(pid)
        seconds[pid] = sum(int(value) for value in fields[11:15]) / tick
    return {name: sum(seconds.get(pid, 0.0) for pid in _family(root, children)) for name, root in _roots(mesh).items()}


def resident_bytes(mesh: Mesh) -> dict[str, int]:
    """Resident memory of each component's own process."""
    page = os.sysconf("SC_PAGE_SIZE")
    return {name: int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page for name, pid in _roots(mesh).items()}


def _roots(mesh: Mesh) -> dict[str, int]:
    processes = Processes(mesh.state)
    alive = {component.name: processes.alive(component.name) for component in components(mesh)}
    return {name: running.identity.pid for name, running in alive.items() if running is not None}


def _family(root: int, children: dict[int, list[int]]) -> list[int]:
    found, left = [], [root]
    while left:
        pid = left.pop()
        found.append(pid)
        left += children.get(pid, ())
    return found
