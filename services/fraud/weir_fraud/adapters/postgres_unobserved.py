"""Payments that the histories have missed, in PostgreSQL: `UnobservedPayments`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from weir_common.ids import EventId, TenantId
from weir_common.postgres import Connection, as_tenant

from weir_fraud.adapters.postgres_decisions import digests_of
from weir_fraud.adapters.postgres_faults import asked
from weir_fraud.domain.payment import microseconds, unpack
from weir_fraud.ports import PutBack, Unobserved


class PostgresUnobserved:
    """They come by `PostgresDecisions`, in the transaction of their decision."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def take(self, limit: int, put_back: PutBack) -> int:
        with asked():
            async with self._pool.acquire(timeout=5) as connection, connection.transaction():
                if not await connection.fetchval("SELECT pg_try_advisory_xact_lock(hashtext('observe:fraud'))"):
                    return 0
                rows = await connection.fetch(
                    "SELECT place, work FROM fraud.unfinished_work WHERE task = 'observe' ORDER BY place LIMIT $1",
                    limit,
                )
                by_tenant: dict[TenantId, list[UUID]] = {}
                for row in rows:
                    work: dict[str, Any] = msgspec.json.decode(row["work"])
                    by_tenant.setdefault(TenantId(work["tenant_id"]), []).append(UUID(work["event_id"]))
                for tenant_id, events in by_tenant.items():
                    await as_tenant(connection, tenant_id)
                    await put_back(tenant_id, await _kept(connection, tenant_id, events))
                    await connection.execute(
                        "DELETE FROM fraud.unobserved_payment WHERE tenant_id = $1 AND event_id = ANY($2::uuid[])",
                        tenant_id,
                        events,
                    )
                await connection.execute(
                    "DELETE FROM fraud.unfinished_work WHERE place = ANY($1::bigint[])", [row["place"] for row in rows]
                )
        return len(rows)

    async def waiting(self) -> int:
        with asked():
            async with self._pool.acquire(timeout=5) as connection:
                return int(
                    await connection.fetchval("SELECT count(*) FROM fraud.unfinished_work WHERE task = 'observe'")
                )


async def _kept(connection: Connection, tenant_id: TenantId, events: Sequence[UUID]) -> list[Unobserved]:
    """In the order of the events, which is that of their decisions."""
    rows = await connection.fetch(
        "SELECT found.* FROM unnest($2::uuid[]) WITH ORDINALITY AS asked (event, place) CROSS JOIN LATERAL ("
        "SELECT u.event_id, u.observation, u.received_at, d.histories FROM fraud.unobserved_payment AS u "
        "JOIN fraud.decision AS d ON d.tenant_id = u.tenant_id AND d.event_id = u.event_id "
        "WHERE u.tenant_id = $1 AND u.event_id = asked.event LIMIT 1) AS found ORDER BY asked.place",
        tenant_id,
        list(events),
    )
    return [
        Unobserved(
            EventId(str(row["event_id"])),
            unpack(row["observation"])._replace(received_at=microseconds(row["received_at"])),
            digests_of(row["histories"]),
        )
        for row in rows
    ]
