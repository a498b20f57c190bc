"""PostgreSQL through SQL: every column of every row of every table of every database, TOAST opened, statistics included."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from weir_compliance.hunt.files import unpacked
from weir_compliance.hunt.ports import Piece, UnreadableError

_SECONDS: Final = 60.0
_PREFETCH: Final = 500

# Without partitioned parents (their rows are in the partitions) and TOAST tables (opened through their owners).
_TABLES: Final = """
SELECT n.nspname AS schema, c.relname AS name,
       array_agg(a.attname ORDER BY a.attnum) AS columns,
       array_agg(a.atttypid = 'bytea'::regtype ORDER BY a.attnum) AS binary
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'm')
GROUP BY 1, 2 ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class _Table:
    schema: str
    name: str
    columns: tuple[str, ...]
    binary: tuple[bool, ...]

    @property
    def statement(self) -> str:
        # The server writes every type as text, also those that no client knows (pg_statistic's arrays of anything).
        columns = ", ".join(
            _quoted(name) if binary else f"{_quoted(name)}::text"
            for name, binary in zip(self.columns, self.binary, strict=True)
        )
        return f"SELECT ctid::text, {columns} FROM {_quoted(self.schema)}.{_quoted(self.name)}"  # noqa: S608 - quoted names


class PostgresRows:
    """`dsn` is a superuser's: row level security and grants would hide what is to be found."""

    name = "postgres"

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    async def pieces(self, overlap: int) -> AsyncIterator[Piece]:
        for database in await self._databases():
            connection = await self._connect(database)
            try:
                for table in await _tables(connection):
                    async for piece in _rows(connection, database, table, overlap):
                        yield piece
            finally:
                await connection.close(timeout=5)

    async def _databases(self) -> list[str]:
        connection = await self._connect(None)
        try:
            if not await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
                raise UnreadableError("the role is no superuser: row level security would hide what is to be found")
            rows = await connection.fetch("SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1")
            return [row["datname"] for row in rows]
        finally:
            await connection.close(timeout=5)

    async def _connect(self, database: str | None) -> asyncpg.Connection:
        dsn = self._dsn if database is None else urlunsplit(urlsplit(self._dsn)._replace(path=f"/{database}"))
        return await asyncpg.connect(
            dsn,
            timeout=10,
            command_timeout=_SECONDS,
            server_settings={"application_name": "weir hunt", "default_transaction_read_only": "on"},
        )


async def _tables(connection: asyncpg.Connection) -> list[_Table]:
    return [
        _Table(row["schema"], row["name"], tuple(row["columns"]), tuple(row["binary"]))
        for row in await connection.fetch(_TABLES)
    ]


async def _rows(connection: asyncpg.Connection, database: str, table: _Table, overlap: int) -> AsyncIterator[Piece]:
    try:
        async with connection.transaction(readonly=True):
            async for row in connection.cursor(table.statement, prefetch=_PREFETCH, timeout=_SECONDS):
                for piece in _of_row(database, table, row[0], tuple(row.values())[1:], overlap):
                    yield piece
    except asyncpg.UndefinedTableError:
        return  # dropped meanwhile, as day partitions are


def _of_row(
    database: str, table: _Table, ctid: str, cells: tuple[str | bytes | None, ...], overlap: int
) -> Iterator[Piece]:
    at = f"row {ctid}"
    for number, (column, value) in enumerate(zip(table.columns, cells, strict=True)):
        data = value.encode() if isinstance(value, str) else value or b""
        where = f"{database}: {table.schema}.{table.name}.{column}"
        yield Piece(where, at, data, unit=number == 0)
        yield from unpacked(data, where, at, overlap)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
