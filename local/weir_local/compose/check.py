"""Loads compose files with compose-go, the library that Docker Compose itself loads them with."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from weir_local.go_programs import GoProgram, cached_program

MODULE = Path(__file__).with_name("check")
LOAD_SECONDS = 30


class BadComposeFile(Exception):
    """What compose-go says is wrong."""


async def load(cache: Path, *files: Path) -> dict[str, Any]:
    """The project as Compose understands it; ``BadComposeFile`` when it does not."""
    process = await asyncio.create_subprocess_exec(
        *(str(await cached_program(cache, GoProgram("compose-check", MODULE))), *(str(file) for file in files)),
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
