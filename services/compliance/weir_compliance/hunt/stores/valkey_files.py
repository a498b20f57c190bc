"""Valkey's files: append-only parts, which are plain, and snapshots, which are if `rdbcompression` is off."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from redis.asyncio import Redis

from weir_compliance.hunt.files import file_pieces, files_below
from weir_compliance.hunt.ports import Piece, UnreadableError

_SECONDS: Final = 10.0
_EMPTY: Final = 256
"""Bytes. A snapshot without keys has only its header."""


class ValkeyFiles:
    """The folder of one server, without its configuration and users, which are secrets of the operator."""

    name = "valkey files"

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._folder = folder

    async def pieces(self, overlap: int) -> AsyncIterator[Piece]:
        compressed = await self._compresses()
        for path in files_below(self._folder):
            where = str(path.relative_to(self._folder))
            for piece in file_pieces(path, where, overlap):
                yield piece
            if compressed and path.suffix == ".rdb" and path.exists() and path.stat().st_size > _EMPTY:
                raise UnreadableError(
                    f"{where} may hold compressed strings (LZF): set rdbcompression no and rewrite it"
                )

    async def _compresses(self) -> bool:
        client = Redis.from_url(
            self._url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS, decode_responses=True
        )
        try:
            answer = await client.config_get("rdbcompression")
        finally:
            await client.aclose()
        return answer.get("rdbcompression") != "no"
