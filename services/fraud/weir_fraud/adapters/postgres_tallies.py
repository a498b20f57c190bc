"""How shadows compare, in PostgreSQL: counts by tenant and day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import asyncpg
from weir_common.ids import TenantId
from weir_common.postgres import tenant_transaction

from weir_fraud.adapters.postgres_faults import AWAY
from weir_fraud.domain.outcome import Outcome
from weir_fraud.errors import ModelRegistryUnavailable
from weir_fraud.ports import Tally


class PostgresTallies:
    """See `ShadowTallies`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def add(self, counted: Mapping[tuple[TenantId, Tally], int]) -> None:
        rows = [
            (tenant_id, tally.version, tally.against, tally.day, tally.decided.value, tally.would.value, payments)
            for (tenant_id, tally), payments in counted.items()
        ]
        try:
            async with self._pool.acquire(timeout=5) as connection:
                await connection.execute("SELECT fraud.add_shadow_tallies($1)", rows)
        except AWAY as error:
            raise ModelRegistryUnavailable(f"PostgreSQL did not answer: {error!r}") from error

    async def of(self, tenant_id: TenantId, version: str, since: date) -> Mapping[Tally, int]:
        try:
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                rows = await connection.fetch(
                    "SELECT against, day, decided, would, payments FROM fraud.shadow_tally "
                    "WHERE tenant_id = $1 AND version = $2 AND day >= $3",
                    tenant_id,
                    version,
                    since,
                )
        except AWAY as error:
            raise ModelRegistryUnavailable(f"PostgreSQL did not answer: {error!r}") from error
        return {
            Tally(version, row["against"], row["day"], Outcome(row["decided"]), Outcome(row["would"])): row["payments"]
            for row in rows
        }
