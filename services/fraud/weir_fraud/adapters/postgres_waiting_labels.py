"""Labels whose payment is not known yet, in PostgreSQL: `WaitingLabels`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import msgspec
from weir_common.ids import EventId, TenantId
from weir_common.postgres import Connection, tenant_transaction

from weir_fraud.adapters.postgres_faults import asked
from weir_fraud.adapters.postgres_imports import observed_in
from weir_fraud.domain.payment import Observed
from weir_fraud.ports import WaitingLabel


async def let_wait(connection: Connection, events: Sequence[tuple[TenantId, EventId]]) -> None:
    """Note that labels of these events found no payment, within a transaction of any tenant."""
    await connection.execute(
        "INSERT INTO fraud.unfinished_work (task, work) "
        "SELECT 'label', jsonb_build_object('tenant_id', tenant_id, 'event_id', event_id) "
        "FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS new (tenant_id, event_id, place) ORDER BY place",
        [tenant_id for tenant_id, _ in events],
        [event_id for _, event_id in events],
    )


class PostgresWaitingLabels:
    """They come by `let_wait`, in the transaction of the consumer. Two instances may do the same one: the second changes nothing."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def page(self, after: int, limit: int) -> list[WaitingLabel]:
        with asked():
            async with self._pool.acquire(timeout=5) as connection:
                rows = await connection.fetch(
                    "SELECT place, work, noted_at FROM fraud.unfinished_work WHERE task = 'label' AND place > $1 ORDER BY place LIMIT $2",
                    after,
                    limit,
                )
        found = []
        for row in rows:
            work: dict[str, Any] = msgspec.json.decode(row["work"])
            found.append(
                WaitingLabel(row["place"], TenantId(work["tenant_id"]), EventId(work["event_id"]), row["noted_at"])
            )
        return found

    async def observed(self, tenant_id: TenantId, event_ids: Sequence[EventId]) -> Mapping[EventId, Observed]:
        with asked():
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                return await observed_in(connection, tenant_id, event_ids)

    async def done(self, places: Sequence[int]) -> None:
        with asked():
            async with self._pool.acquire(timeout=5) as connection:
                await connection.execute(
                    "DELETE FROM fraud.unfinished_work WHERE task = 'label' AND place = ANY($1::bigint[])", list(places)
                )

    async def waiting(self) -> int:
        with asked():
            async with self._pool.acquire(timeout=5) as connection:
                return int(await connection.fetchval("SELECT count(*) FROM fraud.unfinished_work WHERE task = 'label'"))
