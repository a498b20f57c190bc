"""The position of the archive's entries in the ledger, in PostgreSQL; entries leave by the outbox of the same transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence

import asyncpg
from weir_common.errors import RetryError
from weir_common.kafka.records import OutgoingRecord
from weir_common.outbox import add_to_outbox

_OUTAGES = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
_DEADLINE_SECONDS = 10.0


class _Moved(Exception):
    """A partition does not stand where it should; rolls the transaction back."""


class PostgresArchiveEntries:
    """Implements `weir_analytics.ports.ArchiveEntries` for one table of the archive."""

    def __init__(self, pool: asyncpg.Pool, schema: str, table: str) -> None:
        self._pool = pool
        self._schema = schema
        self._table = table

    async def entered(self, partitions: Collection[int]) -> Mapping[int, int]:
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS), self._pool.acquire(timeout=5) as connection:
                rows = await connection.fetch(
                    "SELECT partition, next_offset FROM analytics.archive_entered "
                    "WHERE lake_table = $1 AND partition = ANY($2::integer[])",
                    self._table,
                    list(partitions),
                )
        except _OUTAGES as error:
            raise RetryError(f"PostgreSQL did not answer: {error!r}") from error
        return dict.fromkeys(partitions, 0) | {row["partition"]: row["next_offset"] for row in rows}

    async def enter(self, ranges: Mapping[int, tuple[int, int]], records: Sequence[OutgoingRecord]) -> bool:
        # One order for all, so that two transactions cannot lock each other.
        moves = sorted((partition, first, end) for partition, (first, end) in ranges.items())
        try:
            async with (
                asyncio.timeout(_DEADLINE_SECONDS),
                self._pool.acquire(timeout=5) as connection,
                connection.transaction(),
            ):
                # A row that is not there stands at 0. Whoever comes second waits for the first, and then finds it moved.
                for partition, first, end in moves:
                    moved = await connection.fetchval(
                        "INSERT INTO analytics.archive_entered AS present (lake_table, partition, next_offset) "
                        "SELECT $1, $2, $4::bigint WHERE $3::bigint = 0 OR EXISTS (SELECT FROM analytics.archive_entered "
                        "WHERE lake_table = $1 AND partition = $2) "
                        "ON CONFLICT (lake_table, partition) DO UPDATE SET next_offset = excluded.next_offset "
                        "WHERE present.next_offset = $3 RETURNING true",
                        self._table,
                        partition,
                        first,
                        end,
                    )
                    if not moved:
                        raise _Moved
                await add_to_outbox(connection, self._schema, records)
        except _Moved:
            return False
        except _OUTAGES as error:
            raise RetryError(f"PostgreSQL did not answer: {error!r}") from error
        return True
