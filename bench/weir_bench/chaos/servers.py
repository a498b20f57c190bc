"""The mesh's own processes: which they are, and an operator who starts again what is not there."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from weir_local.launcher import Launcher
from weir_local.lock import exclusive
from weir_local.mesh import Mesh
from weir_local.processes import Identity, Processes
from weir_local.registry import components

START_ATTEMPTS = 3
_starting = asyncio.Lock()
"""Two faults of a round may end at once, and the lock of the mesh holds its whole process until it is free: nobody would free it."""


class NotProven(Exception):
    """The fault did not happen as it should have; the round does not count."""


class DoesNotStart(Exception):
    """A component was started again and again and does not serve: a part that does not recover."""


def identity_of(mesh: Mesh, component: str) -> Identity:
    """The component's process. ``NotProven`` if it does not run."""
    running = Processes(mesh.state).alive(component)
    if running is None:
        raise NotProven(f"{component} did not run when its fault was due")
    return running.identity


def dead(mesh: Mesh) -> list[str]:
    """Components that are not there."""
    processes = Processes(mesh.state)
    return [one.name for one in components(mesh) if processes.alive(one.name) is None]


async def start(mesh: Mesh, names: Sequence[str]) -> None:
    """What an operator or a supervisor does: start it again until it serves."""
    for attempt in range(1, START_ATTEMPTS + 1):
        async with _starting:
            with exclusive(mesh.state):
                statuses = await Launcher(mesh, components(mesh)).up(list(names))
        failed = [f"{one.name}: {one.detail}" for one in statuses if one.state != "running"]
        if not failed:
            return
        if attempt == START_ATTEMPTS:
            raise DoesNotStart("; ".join(failed))


async def not_serving(mesh: Mesh) -> list[str]:
    """What does not serve now, with its own words."""
    statuses = await Launcher(mesh, components(mesh)).status()
    return [f"{one.name} {one.state}: {one.detail}" for one in statuses if one.state != "running"]


def family(root: Identity) -> list[Identity]:
    """The process and all that descends from it: PostgreSQL serves by its children."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))) is not None:
            children[int(fields[1])].append(int(entry.name))
    found, left = [root], [root.pid]
    while left:
        for pid in children.get(left.pop(), ()):
            left.append(pid)
            if (child := Identity.of(pid)) is not None:
                found.append(child)
    return found


def signal_all(identities: Sequence[Identity], number: signal.Signals) -> None:
    """To those that still live. The descriptor pins each, so that a stranger with its pid cannot be hit."""
    for identity in identities:
        try:
            descriptor = os.pidfd_open(identity.pid)
        except ProcessLookupError:
            continue
        try:
            if identity.alive():
                signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            continue
        finally:
            os.close(descriptor)


def is_stopped(identity: Identity) -> bool:
    """Whether the kernel holds it still."""
    fields = _stat(identity.pid)
    return fields is not None and fields[0] == "T" and identity.alive()


async def gone(identity: Identity, seconds: float = 5.0) -> bool:
    """Whether it ends within so many seconds."""
    for _ in range(int(seconds * 50)):
        if not identity.alive():
            return True
        await asyncio.sleep(0.02)
    return False


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text[text.rindex(")") + 2 :].split()
