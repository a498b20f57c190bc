"""Reading the components' logs, and keeping them from filling the disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

LINES = 15
TAIL_BYTES = 64_000
CHUNK_BYTES = 1_000_000
POLL_SECONDS = 0.2
ROTATE_BYTES = 32 * 1024 * 1024


def tail(log: Path, lines: int = LINES) -> list[str]:
    """The last lines of a log; empty if there is none."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - max(TAIL_BYTES, lines * 1_000)))
            return file.read().decode(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        return []


def rotate(log: Path) -> None:
    """Before a component starts: put a long log aside as `.1`, replacing the one before it."""
    if log.exists() and log.stat().st_size > ROTATE_BYTES:
        log.replace(log.with_name(f"{log.name}.1"))


async def follow(logs: Mapping[str, Path]) -> AsyncIterator[tuple[str, str]]:
    """(component, line) as lines are written, from now on; a log that is rotated, or made later, is picked up."""
    offsets = {name: path.stat().st_size if path.exists() else 0 for name, path in logs.items()}
    while True:
        quiet = True
        for name, path in logs.items():
            for line in _new_lines(path, offsets, name):
                quiet = False
                yield name, line
        if quiet:
            await asyncio.sleep(POLL_SECONDS)


def _new_lines(path: Path, offsets: dict[str, int], name: str) -> list[str]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if size < offsets[name]:  # rotated
                offsets[name] = 0
            file.seek(offsets[name])
            chunk = file.read(CHUNK_BYTES)
    except FileNotFoundError:
        return []
    # An unfinished line waits for its end, except one that is longer than a chunk.
    complete = chunk.rfind(b"\n") + 1 or (len(chunk) if len(chunk) == CHUNK_BYTES else 0)
    offsets[name] += complete
    return chunk[:complete].decode(errors="replace").splitlines()
