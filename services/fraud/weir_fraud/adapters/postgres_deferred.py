"""Decisions that wait for their explanation, in PostgreSQL: `DeferredExplanations`."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from weir_common.ids import EventId, TenantId
from weir_common.postgres import tenant_transaction

from weir_fraud.adapters.postgres_faults import asked
from weir_fraud.domain.decision import Decision
from weir_fraud.ports import Deferred

_FORGET = "DELETE FROM fraud.unfinished_work WHERE place = $1"


class PostgresDeferred:
    """They come by `PostgresDecisions`. Two instances may explain the same one: the second changes nothing."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def oldest(self, limit: int) -> list[Deferred]:
        with asked():
            async with self._pool.acquire(timeout=5) as connection:
                rows = await connection.fetch(
                    "SELECT place, work FROM fraud.unfinished_work WHERE task = 'explain' ORDER BY place LIMIT $1",
                    limit,
                )
        found = []
        for row in rows:
            work: dict[str, Any] = msgspec.json.decode(row["work"])
            found.append(Deferred(row["place"], TenantId(work["tenant_id"]), EventId(work["event_id"])))
        return found

    async def fill_in(self, deferred: Deferred, decision: Decision | None) -> None:
        with asked():
            async with tenant_transaction(self._pool, deferred.tenant_id) as connection:
                if decision is not None:
                    await connection.execute(
                        "UPDATE fraud.decision SET contributions = $3, reason_codes = $4 WHERE tenant_id = $1 AND event_id = $2 "
                        "AND cardinality(contributions) < cardinality(feature_values)",
                        deferred.tenant_id,
                        UUID(deferred.event_id),
                        list(decision.contributions.shares),
                        list(decision.reason_codes),
                    )
                await connection.execute(_FORGET, deferred.place)

    async def put_off(self, deferred: Deferred) -> None:
        with asked():
            async with self._pool.acquire(timeout=5) as connection:
                await connection.execute(
                    "WITH off AS (DELETE FROM fraud.unfinished_work WHERE place = $1 RETURNING task, work) "
                    "INSERT INTO fraud.unfinished_work (task, work) SELECT task, work FROM off",
                    deferred.place,
                )

    async def deferred(self) -> int:
        with asked():
            async with self._pool.acquire(timeout=5) as connection:
                return int(
                    await connection.fetchval("SELECT count(*) FROM fraud.unfinished_work WHERE task = 'explain'")
                )
