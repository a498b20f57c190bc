"""The quarantine in PostgreSQL, ``ingest.quarantined_event``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from weir_common.errors import RetryError
from weir_common.ids import TenantId
from weir_common.kafka.consumer import Transaction
from weir_common.postgres import tenant_transaction

from weir_ingest.domain.quarantine import HeldEvent, HeldState, Reason, ReasonTotal, RefusedEvent, Selection, storable

SCHEMA = "ingest"
_TABLE = f"{SCHEMA}.quarantined_event"
_COLUMNS = (
    "quarantine_id, state, event_id, event_type, schema_version, reasons, size, seen, "
    "first_refused_at, last_refused_at, expires_at"
)
_SELECTED = (
    "($2::uuid[] IS NULL OR quarantine_id = ANY($2)) AND ($3::jsonb IS NULL OR reasons @> $3) "
    "AND ($4::text IS NULL OR event_type = $4) "
    "AND ($5::timestamptz IS NULL OR last_refused_at >= $5) AND ($6::timestamptz IS NULL OR last_refused_at < $6)"
)
"""Of a ``Selection``; $1 is the tenant."""

_reasons = msgspec.json.Decoder(list[Reason])


class PostgresRefusedWriter:
    """See ``RefusedWriter``. The transaction has been switched to the tenant."""

    def __init__(self, transaction: Transaction, *, retention: timedelta) -> None:
        self._connection = transaction.connection
        self._retention = retention

    async def write(self, tenant_id: TenantId, refused: Sequence[RefusedEvent]) -> None:
        """See ``RefusedWriter.write``. An entry that was settled is held again: its sender has not mended it."""
        await self._connection.executemany(
            f"INSERT INTO {_TABLE} AS held (tenant_id, quarantine_id, state, event_id, event_type, schema_version, reasons, "  # noqa: S608 - a constant
            "size, first_refused_at, last_refused_at, expires_at, subjects, sealed) "
            "VALUES ($1, $2, 'held', $3, $4, $5, $6, $7, $8, $8, $9, $10, $11) "
            "ON CONFLICT (tenant_id, quarantine_id) DO UPDATE SET state = 'held', seen = held.seen + 1, "
            "last_refused_at = greatest(held.last_refused_at, excluded.last_refused_at), "
            "expires_at = greatest(held.expires_at, excluded.expires_at), sealed = excluded.sealed",
            [
                (
                    tenant_id,
                    event.quarantine_id,
                    event.event_id,
                    event.event_type,
                    event.schema_version,
                    msgspec.json.encode(event.reasons).decode(),
                    event.size,
                    event.refused_at,
                    event.refused_at + self._retention,
                    event.subjects,
                    event.sealed,
                )
                for event in refused
            ],
        )


class PostgresQuarantine:
    """See ``QuarantineStore``."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def page(
        self,
        tenant_id: TenantId,
        selection: Selection,
        *,
        states: Sequence[HeldState],
        after: tuple[datetime, UUID] | None,
        limit: int,
    ) -> list[HeldEvent]:
        """See ``QuarantineStore.page``."""
        return await self._events(
            tenant_id,
            f"SELECT {_COLUMNS} FROM {_TABLE} WHERE tenant_id = $1 AND {_SELECTED} AND state = ANY($7::text[]) "  # noqa: S608 - constants
            "AND ($8::timestamptz IS NULL OR (last_refused_at, quarantine_id) < ($8, $9::uuid)) "
            "ORDER BY last_refused_at DESC, quarantine_id DESC LIMIT $10",
            *_arguments(selection),
            [str(state) for state in states],
            after[0] if after is not None else None,
            after[1] if after is not None else None,
            limit,
        )

    async def get(self, tenant_id: TenantId, quarantine_id: UUID) -> HeldEvent | None:
        """See ``QuarantineStore.get``."""
        found = await self._events(
            tenant_id,
            f"SELECT {_COLUMNS}, sealed FROM {_TABLE} WHERE tenant_id = $1 AND quarantine_id = $2",  # noqa: S608 - constants
            quarantine_id,
        )
        return found[0] if found else None

    async def held(self, tenant_id: TenantId, selection: Selection, *, limit: int) -> list[HeldEvent]:
        """See ``QuarantineStore.held``."""
        return await self._events(
            tenant_id,
            f"SELECT {_COLUMNS}, sealed FROM {_TABLE} WHERE tenant_id = $1 AND {_SELECTED} AND state = 'held' "  # noqa: S608 - constants
            "ORDER BY first_refused_at, quarantine_id LIMIT $7",
            *_arguments(selection),
            limit,
        )

    async def of_subjects(self, tenant_id: TenantId, subjects: Sequence[bytes], *, limit: int) -> list[HeldEvent]:
        """See ``QuarantineStore.of_subjects``."""
        return await self._events(
            tenant_id,
            f"SELECT {_COLUMNS}, sealed FROM {_TABLE} WHERE tenant_id = $1 AND subjects && $2::bytea[] AND state = 'held' "  # noqa: S608 - constants
            "ORDER BY first_refused_at, quarantine_id LIMIT $3",
            list(subjects),
            limit,
        )

    async def reasons(self, tenant_id: TenantId, *, limit: int) -> list[ReasonTotal]:
        """See ``QuarantineStore.reasons``."""
        rows = await self._fetch(
            tenant_id,
            "SELECT reason ->> 'pointer' AS pointer, reason ->> 'expected' AS expected, count(*) AS entries, "  # noqa: S608 - a constant
            "sum(seen)::bigint AS events, min(first_refused_at) AS first_refused_at, max(last_refused_at) AS last_refused_at "
            f"FROM {_TABLE}, jsonb_array_elements(reasons) AS reason WHERE tenant_id = $1 AND state = 'held' "
            "GROUP BY 1, 2 ORDER BY 4 DESC, 1, 2 LIMIT $2",
            limit,
        )
        return [ReasonTotal(**dict(row)) for row in rows]

    async def settle(self, tenant_id: TenantId, quarantine_ids: Sequence[UUID], state: HeldState) -> int:
        """See ``QuarantineStore.settle``."""
        rows = await self._fetch(
            tenant_id,
            f"UPDATE {_TABLE} SET state = $3, sealed = NULL WHERE tenant_id = $1 AND quarantine_id = ANY($2::uuid[]) "  # noqa: S608 - a constant
            "AND state = 'held' RETURNING 1",
            list(quarantine_ids),
            str(state),
            readonly=False,
        )
        return len(rows)

    async def usage(self, tenant_id: TenantId, *, at_most: int) -> tuple[int, int]:
        """See ``QuarantineStore.usage``."""
        rows = await self._fetch(
            tenant_id,
            "SELECT count(*) AS events, coalesce(sum(size), 0)::bigint AS bytes FROM "  # noqa: S608 - a constant
            f"(SELECT size FROM {_TABLE} WHERE tenant_id = $1 AND state = 'held' LIMIT $2) AS counted",
            at_most,
        )
        return rows[0]["events"], rows[0]["bytes"]

    async def forget(self, tenant_id: TenantId, now: datetime, *, limit: int) -> int:
        """See ``QuarantineStore.forget``."""
        rows = await self._fetch(
            tenant_id,
            f"DELETE FROM {_TABLE} WHERE tenant_id = $1 AND quarantine_id IN (SELECT quarantine_id FROM {_TABLE} "  # noqa: S608 - a constant
            "WHERE tenant_id = $1 AND expires_at < $2 ORDER BY expires_at LIMIT $3) RETURNING 1",
            now,
            limit,
            readonly=False,
        )
        return len(rows)

    async def _events(self, tenant_id: TenantId, query: str, *arguments: Any) -> list[HeldEvent]:
        return [_event(row) for row in await self._fetch(tenant_id, query, *arguments)]

    async def _fetch(
        self, tenant_id: TenantId, query: str, *arguments: Any, readonly: bool = True
    ) -> list[asyncpg.Record]:
        try:
            async with tenant_transaction(self._pool, tenant_id, readonly=readonly) as connection:
                return await connection.fetch(query, tenant_id, *arguments)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise RetryError(f"PostgreSQL did not answer: {error!r}") from error


def _arguments(selection: Selection) -> tuple[Any, ...]:
    reason = {
        name: storable(value)
        for name, value in (("pointer", selection.pointer), ("expected", selection.expected))
        if value is not None
    }
    return (
        selection.quarantine_ids,
        msgspec.json.encode([reason]).decode() if reason else None,
        selection.event_type,
        selection.since,
        selection.until,
    )


def _event(row: asyncpg.Record) -> HeldEvent:
    values = dict(row)
    return HeldEvent(**{**values, "state": HeldState(values["state"]), "reasons": _reasons.decode(values["reasons"])})
