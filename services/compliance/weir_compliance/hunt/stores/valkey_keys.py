"""Valkey through SCAN: every key of every database with its value, whatever its type."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

from redis.asyncio import Redis

from weir_compliance.hunt.files import unpacked
from weir_compliance.hunt.ports import Piece

_SECONDS: Final = 10.0
_PAGE: Final = 500


class ValkeyKeys:
    """`url` is that of a user who may read everything."""

    name = "valkey"

    def __init__(self, url: str) -> None:
        self._url = url

    async def pieces(self, overlap: int) -> AsyncIterator[Piece]:
        for database in await self._databases():
            client = self._client(database)
            try:
                async for key in client.scan_iter(count=_PAGE):
                    group = _group(key)
                    yield Piece(f"{database}: {group} key", _shown(key), key)
                    async for value in _values(client, key):
                        yield Piece(f"{database}: {group}", _shown(key), value, unit=False)
                        for piece in unpacked(value, f"{database}: {group}", _shown(key), overlap):
                            yield piece
            finally:
                await client.aclose()

    async def _databases(self) -> list[int]:
        client = self._client(0)
        try:
            return sorted(int(name.removeprefix("db")) for name in await client.info("keyspace"))
        finally:
            await client.aclose()

    def _client(self, database: int) -> Redis:
        return Redis.from_url(self._url, db=database, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS)


async def _values(client: Any, key: bytes) -> AsyncIterator[bytes]:
    """Every element, with its field or score. A key that expired meanwhile has none."""
    match await client.type(key):
        case b"string":
            value = await client.get(key)
            if value is not None:
                yield value
        case b"hash":
            async for field, value in client.hscan_iter(key, count=_PAGE):
                yield field
                yield value
        case b"set":
            async for member in client.sscan_iter(key, count=_PAGE):
                yield member
        case b"zset":
            async for member, score in client.zscan_iter(key, count=_PAGE):
                yield member
                yield repr(score).encode()
        case b"list":
            start = 0
            while page := await client.lrange(key, start, start + _PAGE - 1):
                for value in page:
                    yield value
                start += _PAGE
        case b"stream":
            first = "-"
            while page := await client.xrange(key, min=first, count=_PAGE):
                for entry, fields in page:
                    first = f"({entry.decode()}"
                    for field, value in fields.items():
                        yield field
                        yield value
        case b"none":
            return
        case _:
            # A type of a later version: at least its serialised form.
            dumped = await client.dump(key)
            if dumped is not None:
                yield dumped


def _group(key: bytes) -> str:
    """The first word of a key (`receipt:{tenant}:…`): what kind of thing it is."""
    return "".join(_words(key))


def _words(key: bytes) -> Iterator[str]:
    word = key.split(b":", 1)[0]
    yield word.decode("ascii", "backslashreplace")[:40]
    if b":" in key:
        yield ":…"


def _shown(key: bytes) -> str:
    return key.decode("utf-8", "backslashreplace")[:200]
