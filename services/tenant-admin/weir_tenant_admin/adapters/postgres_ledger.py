"""The books in PostgreSQL, under row level security."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

import asyncpg
from weir_common.ids import TenantId
from weir_common.postgres import Connection, tenant_transaction

from weir_tenant_admin.adapters.postgres_service_levels import forget_minutes
from weir_tenant_admin.domain.ledger import ACCEPTED, Done
from weir_tenant_admin.ports import LedgerDigest, LedgerSides

RECEIVED = "received"


async def add_to_ledger(
    connection: Connection,
    tenant_id: TenantId,
    door: Mapping[tuple[datetime, str], int],
    consumers: Mapping[tuple[datetime, str], Done],
) -> None:
    """Add to what is there, in the running transaction, which must have been switched to ``tenant_id``."""
    # One order for all, so that two transactions cannot lock each other.
    if door:
        rows = sorted(door.items())
        await connection.execute(
            "INSERT INTO tenant_admin.ledger_door AS present (tenant_id, minute, fate, events) "
            "SELECT $1, * FROM unnest($2::timestamptz[], $3::text[], $4::bigint[]) "
            "ON CONFLICT (tenant_id, minute, fate) DO UPDATE SET events = present.events + excluded.events",
            tenant_id,
            [minute for (minute, _), _ in rows],
            [fate for (_, fate), _ in rows],
            [events for _, events in rows],
        )
    if consumers:
        done = sorted(consumers.items(), key=lambda item: item[0])
        await connection.execute(
            "INSERT INTO tenant_admin.ledger_consumer AS present "
            "(tenant_id, minute, consumer, applied, duplicates, quarantined) "
            "SELECT $1, * FROM unnest($2::timestamptz[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[]) "
            "ON CONFLICT (tenant_id, minute, consumer) DO UPDATE SET applied = present.applied + excluded.applied, "
            "duplicates = present.duplicates + excluded.duplicates, "
            "quarantined = present.quarantined + excluded.quarantined",
            tenant_id,
            [minute for (minute, _), _ in done],
            [consumer for (_, consumer), _ in done],
            [one.applied for _, one in done],
            [one.duplicates for _, one in done],
            [one.quarantined for _, one in done],
        )


class PostgresLedger:
    """Reads the books."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def sides(self, tenant_id: TenantId, since: datetime) -> Sequence[LedgerSides]:
        """See ``LedgerSource.sides``."""
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            return await _sides(connection, tenant_id, since, None)

    async def digest(self, tenant_id: TenantId, since: datetime, consumers: Sequence[str]) -> LedgerDigest:
        """See ``LedgerDigests.digest``."""
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            rows = await connection.fetch(_DIGEST, tenant_id, since, list(consumers), ACCEPTED, RECEIVED)
            even = [(row["minute"], int(row["accepted"])) for row in rows if row["even"]]
            uneven = [row["minute"] for row in rows if not row["even"]]
            sides = await _sides(connection, tenant_id, since, uneven) if uneven else []
        return LedgerDigest(even, sides)

    async def forget(self, tenant_id: TenantId, before: datetime, *, limit: int) -> int:
        """See ``MinuteStore.forget``."""
        return await forget_minutes(self._pool, tenant_id, ("ledger_door", "ledger_consumer"), before, limit=limit)


_DIGEST = """
WITH door AS (
    SELECT minute,
           coalesce(sum(events) FILTER (WHERE fate = $5), 0) AS received,
           coalesce(sum(events) FILTER (WHERE fate <> $5), 0) AS fates,
           coalesce(sum(events) FILTER (WHERE fate = $4), 0) AS accepted
    FROM tenant_admin.ledger_door WHERE tenant_id = $1 AND minute >= $2 GROUP BY minute
), done AS (
    SELECT minute,
           count(*) FILTER (WHERE consumer = ANY($3::text[])) AS expected,
           min(applied + quarantined) AS least,
           max(applied + quarantined) AS most
    FROM tenant_admin.ledger_consumer WHERE tenant_id = $1 AND minute >= $2 GROUP BY minute
)
SELECT minute, coalesce(accepted, 0) AS accepted,
       coalesce(received = fates AND (
           (least = accepted AND most = accepted AND expected = cardinality($3::text[])) OR (accepted = 0 AND least IS NULL)
       ), false) AS even
FROM door FULL JOIN done USING (minute) ORDER BY minute
"""


async def _sides(
    connection: Connection, tenant_id: TenantId, since: datetime, minutes: Sequence[datetime] | None
) -> list[LedgerSides]:
    """Of these minutes, or all."""
    door = await connection.fetch(
        "SELECT minute, fate, events FROM tenant_admin.ledger_door "
        "WHERE tenant_id = $1 AND minute >= $2 AND ($3::timestamptz[] IS NULL OR minute = ANY($3))",
        tenant_id,
        since,
        minutes,
    )
    consumers = await connection.fetch(
        "SELECT minute, consumer, applied, duplicates, quarantined FROM tenant_admin.ledger_consumer "
        "WHERE tenant_id = $1 AND minute >= $2 AND ($3::timestamptz[] IS NULL OR minute = ANY($3))",
        tenant_id,
        since,
        minutes,
    )
    fates: dict[datetime, dict[str, int]] = defaultdict(dict)
    done: dict[datetime, dict[str, Done]] = defaultdict(dict)
    for row in door:
        fates[row["minute"]][row["fate"]] = row["events"]
    for row in consumers:
        done[row["minute"]][row["consumer"]] = Done(row["applied"], row["duplicates"], row["quarantined"])
    return [
        LedgerSides(minute, fates[minute].pop(RECEIVED, 0), fates[minute], done[minute])
        for minute in sorted({*fates, *done})
    ]
