"""PostgreSQL's data directory: heap, index and free pages as they lie there, and the write-ahead log.

What a DELETE or a VACUUM leaves behind is only here. Long values are compressed in the heap (pglz); the live ones are read through
SQL, a dead compressed one is the blind spot of this module. Full pages in the WAL are compressed, too: `pg_waldump` opens them.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import asyncpg

from weir_compliance.hunt.files import file_pieces, files_below
from weir_compliance.hunt.ports import Piece, UnreadableError

_SECONDS: Final = 120.0
_WAL_NAME: Final = re.compile(r"[0-9A-F]{24}")
_WAL_PAGE: Final = 8192
_SHORT_HEADER: Final = 24
_LONG_HEADER: Final = 40
_LONG_HEADER_FLAG: Final = 0x0002
"""Bytes in front of each page of the WAL, and of the first one of a file (XLogPageHeaderData, XLogLongPageHeaderData)."""

_NAMES: Final = """
SELECT pg_relation_filepath(c.oid) AS path, c.oid::regclass::text AS name
FROM pg_class c WHERE pg_relation_filepath(c.oid) IS NOT NULL
"""


class PostgresFiles:
    """`dsn` is a superuser's, to write dirty pages out first and to name the files; `waldump` is PostgreSQL's own program."""

    name = "postgres files"

    def __init__(self, dsn: str, folder: Path, waldump: Path) -> None:
        self._dsn = dsn
        self._folder = folder
        self._waldump = waldump

    async def pieces(self, overlap: int) -> AsyncIterator[Piece]:
        state = await self._flushed()
        for piece in self._files(state, overlap):
            yield piece

    async def _flushed(self) -> "_State":
        """Relation files by path and where the log ends, after a checkpoint."""
        connection = await asyncpg.connect(self._dsn, timeout=10, command_timeout=_SECONDS)
        try:
            await connection.execute("CHECKPOINT")
            names = {row["path"]: row["name"] for row in await connection.fetch(_NAMES)}
            return _State(names, await connection.fetchval("SELECT pg_walfile_name(pg_current_wal_lsn())"))
        finally:
            await connection.close(timeout=5)

    def _files(self, state: "_State", overlap: int) -> Iterator[Piece]:
        segments: list[Path] = []
        for path in files_below(self._folder):
            relative = str(path.relative_to(self._folder))
            if _WAL_NAME.fullmatch(path.name) and path.parent.name == "pg_wal":
                segments.append(path)
                yield from file_pieces(path, "wal", overlap)
                yield from _across_pages(path)
            else:
                for piece in file_pieces(path, _group(relative, state.names), overlap):
                    yield replace(piece, at=f"{relative} {piece.at}")
        with tempfile.TemporaryDirectory(prefix="weir-hunt-") as scratch:
            for segment in segments:
                # Those after the current one were recycled: old content under a new name, which no reader decodes any more.
                if segment.name <= state.current_wal:
                    yield from self._full_pages(segment, Path(scratch) / segment.name, state)

    def _full_pages(self, segment: Path, pages: Path, state: "_State") -> Iterator[Piece]:
        """The images of whole pages in one segment of the WAL, decompressed."""
        if not self._waldump.is_file():
            raise UnreadableError(f"{self._waldump} is missing: compressed pages of the WAL cannot be opened")
        done = subprocess.run(
            [str(self._waldump), "--quiet", f"--save-fullpage={pages}", str(segment)],
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
        # The log ends somewhere in the segment that is written now, and the program says so by its exit code. One that was
        # removed meanwhile was read above.
        if done.returncode != 0 and segment.name < state.current_wal and segment.exists():
            raise UnreadableError(f"pg_waldump on {segment.name}: {done.stderr.decode(errors='replace')[:200]}")
        for image in files_below(pages) if pages.is_dir() else ():
            yield Piece("wal full pages", f"{segment.name} {image.name}", image.read_bytes())
        shutil.rmtree(pages, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _State:
    names: Mapping[str, str]
    current_wal: str


def _across_pages(path: Path) -> Iterator[Piece]:
    """A record goes on after the header of the next page, so a value may have one in its middle: here they are taken out."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return
    bodies: list[bytes] = []
    for start in range(0, len(raw), _WAL_PAGE):
        page = raw[start : start + _WAL_PAGE]
        long = len(page) > _SHORT_HEADER and int.from_bytes(page[2:4], "little") & _LONG_HEADER_FLAG
        bodies.append(page[_LONG_HEADER if long else _SHORT_HEADER :])
    yield Piece("wal", f"{path.name} across pages", b"".join(bodies), unit=False)


def _group(relative: str, names: Mapping[str, str]) -> str:
    """The relation that a file belongs to: `base/16384/16399.1` and `…_vm` are parts of `base/16384/16399`."""
    stem = re.sub(r"(_[a-z]+)?(\.\d+)?$", "", relative)
    return names.get(stem) or relative.split("/", 1)[0]
