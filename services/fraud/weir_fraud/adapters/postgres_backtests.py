"""Backtests in PostgreSQL, table `fraud.model_backtest`; each with its audit entry, by the outbox, in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

import asyncpg
import msgspec
from weir_common.audit import AuditEntry, audit_record
from weir_common.outbox import add_to_outbox
from weir_common.problems import NotFound

from weir_fraud.adapters.postgres_decisions import SCHEMA
from weir_fraud.adapters.postgres_faults import AWAY
from weir_fraud.domain.promotion_gate import Backtest, StoredBacktest
from weir_fraud.errors import ModelRegistryUnavailable

_COLUMNS: Final = "id, recorded_at, recorded_by, document::text AS document"
_document = msgspec.json.Decoder(Backtest)


class PostgresBacktests:
    """See `Backtests`."""

    def __init__(self, pool: asyncpg.Pool, wake_outbox: Callable[[], None]) -> None:
        self._pool = pool
        self._wake_outbox = wake_outbox

    async def add(self, version: str, backtest: Backtest, by: str, at: datetime, audit: AuditEntry) -> StoredBacktest:
        try:
            async with self._pool.acquire(timeout=5) as connection, connection.transaction():
                number = await connection.fetchval(
                    "INSERT INTO fraud.model_backtest (version, recorded_at, recorded_by, document) VALUES ($1, $2, $3, $4::text::jsonb) "
                    "RETURNING id",
                    version,
                    at,
                    by,
                    msgspec.json.encode(backtest).decode(),
                )
                await add_to_outbox(connection, SCHEMA, [audit_record(audit)])
        except asyncpg.ForeignKeyViolationError as error:
            raise NotFound(f"There is no version {version}.") from error
        except AWAY as error:
            raise ModelRegistryUnavailable(f"PostgreSQL did not answer: {error!r}") from error
        self._wake_outbox()
        return StoredBacktest(number=number, backtest=backtest, recorded_at=at, recorded_by=by)

    async def newest(self, version: str, champion: str) -> StoredBacktest | None:
        rows = await self._fetch(
            f"SELECT {_COLUMNS} FROM fraud.model_backtest WHERE version = $1 AND document #>> '{{champion,version}}' = $2 "  # noqa: S608 - constants
            "ORDER BY id DESC LIMIT 1",
            version,
            champion,
        )
        return _stored(rows[0]) if rows else None

    async def page(self, version: str, before: int | None, limit: int) -> list[StoredBacktest]:
        rows = await self._fetch(
            f"SELECT {_COLUMNS} FROM fraud.model_backtest WHERE version = $1 AND ($2::bigint IS NULL OR id < $2) "  # noqa: S608 - constants
            "ORDER BY id DESC LIMIT $3",
            version,
            before,
            limit,
        )
        return [_stored(row) for row in rows]

    async def _fetch(self, statement: str, *values: object) -> list[asyncpg.Record]:
        try:
            async with self._pool.acquire(timeout=5) as connection:
                rows: list[asyncpg.Record] = await connection.fetch(statement, *values)
        except AWAY as error:
            raise ModelRegistryUnavailable(f"PostgreSQL did not answer: {error!r}") from error
        return rows


def _stored(row: asyncpg.Record) -> StoredBacktest:
    return StoredBacktest(
        number=row["id"],
        backtest=_document.decode(row["document"]),
        recorded_at=row["recorded_at"],
        recorded_by=row["recorded_by"],
    )
