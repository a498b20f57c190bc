"""Imported payments in PostgreSQL, and where any payment is observed, decided or imported: `ImportedPayments`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg
from weir_common.ids import EventId, TenantId
from weir_common.postgres import Connection, tenant_transaction

from weir_fraud.adapters.postgres_decisions import digests_of, packed_digests
from weir_fraud.adapters.postgres_faults import asked
from weir_fraud.domain.aggregate import Entity
from weir_fraud.domain.payment import Observed, Payment, entity_digest, hash48, microseconds, observed_of
from weir_fraud.ports import ImportedPayment

_PAGE: Final = 200


async def record_imports(connection: Connection, payments: Sequence[Payment]) -> None:
    """Keep where payments, of any tenants, are observed. The transaction is switched to one of the tenants."""
    digests = [observed_of(payment).digests for payment in payments]
    await connection.execute(
        "SELECT fraud.record_imports($1, $2, $3, $4, $5)",
        [payment.tenant_id for payment in payments],
        [UUID(payment.event_id) for payment in payments],
        [payment.at for payment in payments],
        [each[_CUSTOMER] or None for each in digests],
        [packed_digests(each) for each in digests],
    )


async def observed_in(
    connection: Connection, tenant_id: TenantId, event_ids: Sequence[EventId]
) -> dict[EventId, Observed]:
    """Where those of the payments are observed that were decided or imported. The transaction is the tenant's."""
    rows = await connection.fetch(
        "SELECT asked.event_id, found.event_timestamp, found.histories FROM unnest($2::uuid[]) AS asked (event_id) CROSS JOIN LATERAL ("
        "(SELECT d.event_timestamp, d.histories FROM fraud.decision AS d WHERE d.tenant_id = $1 AND d.event_id = asked.event_id LIMIT 1) "
        "UNION ALL (SELECT i.event_timestamp, i.histories FROM fraud.imported_payment AS i "
        "WHERE i.tenant_id = $1 AND i.event_id = asked.event_id LIMIT 1) LIMIT 1) AS found",
        tenant_id,
        [UUID(event_id) for event_id in event_ids],
    )
    found: dict[EventId, Observed] = {}
    for row in rows:
        event_id = EventId(str(row["event_id"]))
        # No digests: a decision from before they were kept. Its histories are gone by now, or nearly so.
        found[event_id] = Observed(
            microseconds(row["event_timestamp"]), hash48("event", event_id), digests_of(row["histories"])
        )
    return found


class PostgresImports:
    """They come by `record_imports`, in the transaction of the consumer."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def of_subject(self, tenant_id: TenantId, users: Sequence[str]) -> AsyncIterator[ImportedPayment]:
        digests = [entity_digest(Entity.USER, user) for user in users]
        last = UUID(int=0)
        while True:
            with asked():
                async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                    rows = await connection.fetch(
                        "SELECT event_id, event_timestamp FROM fraud.imported_payment "
                        "WHERE tenant_id = $1 AND customer = ANY($2::bytea[]) AND event_id > $3 ORDER BY event_id LIMIT $4",
                        tenant_id,
                        digests,
                        last,
                        _PAGE,
                    )
            for row in rows:
                yield ImportedPayment(EventId(str(row["event_id"])), row["event_timestamp"])
            if len(rows) < _PAGE:
                return
            last = rows[-1]["event_id"]

    async def forget(self, tenant_id: TenantId, until: datetime, limit: int) -> int:
        with asked():
            async with tenant_transaction(self._pool, tenant_id) as connection:
                done = await connection.execute(
                    "DELETE FROM fraud.imported_payment WHERE tenant_id = $1 AND event_id = ANY(ARRAY("
                    "SELECT event_id FROM fraud.imported_payment WHERE tenant_id = $1 AND event_timestamp <= $2 "
                    "ORDER BY event_timestamp LIMIT $3))",
                    tenant_id,
                    until,
                    limit,
                )
        return int(done.rpartition(" ")[2])


_CUSTOMER: Final = list(Entity).index(Entity.USER)
