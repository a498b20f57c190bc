"""Unknown fields in PostgreSQL, ``ingest.unknown_field``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import asyncpg
from weir_common.errors import RetryError
from weir_common.ids import TenantId
from weir_common.postgres import tenant_transaction

from weir_ingest.domain.drift import DriftedField, Sighting
from weir_ingest.domain.quarantine import storable

_AWAY = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)


class PostgresDrift:
    """See ``DriftStore``."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def add(self, tenant_id: TenantId, sightings: Sequence[Sighting], *, forget_before: date) -> None:
        """See ``DriftStore.add``."""
        try:
            async with tenant_transaction(self._pool, tenant_id) as connection:
                await connection.executemany(
                    "INSERT INTO ingest.unknown_field AS f "
                    "(tenant_id, day, schema_version, field, events, first_seen_at, last_seen_at) "
                    "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tenant_id, day, schema_version, field) DO UPDATE SET "
                    "events = f.events + excluded.events, first_seen_at = least(f.first_seen_at, excluded.first_seen_at), "
                    "last_seen_at = greatest(f.last_seen_at, excluded.last_seen_at)",
                    [
                        (
                            tenant_id,
                            one.day,
                            one.schema_version,
                            storable(one.field),
                            one.events,
                            one.first_seen_at,
                            one.last_seen_at,
                        )
                        for one in sightings
                    ],
                )
                await connection.execute(
                    "DELETE FROM ingest.unknown_field WHERE tenant_id = $1 AND day < $2", tenant_id, forget_before
                )
        except _AWAY as error:
            raise RetryError(f"PostgreSQL did not answer: {error!r}") from error

    async def read(self, tenant_id: TenantId, since: date, *, limit: int) -> list[DriftedField]:
        """See ``DriftStore.read``."""
        try:
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                rows = await connection.fetch(
                    "SELECT field, schema_version, sum(events)::bigint AS events, count(*) AS days, "
                    "min(first_seen_at) AS first_seen_at, max(last_seen_at) AS last_seen_at FROM ingest.unknown_field "
                    "WHERE tenant_id = $1 AND day >= $2 GROUP BY field, schema_version "
                    "ORDER BY 3 DESC, field, schema_version LIMIT $3",
                    tenant_id,
                    since,
                    limit,
                )
        except _AWAY as error:
            raise RetryError(f"PostgreSQL did not answer: {error!r}") from error
        return [DriftedField(**dict(row)) for row in rows]
