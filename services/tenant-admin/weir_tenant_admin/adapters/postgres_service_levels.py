"""Request counts and freshness by tenant and minute in PostgreSQL, under row level security."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

import asyncpg
from weir_common.errors import RetryError
from weir_common.ids import TenantId
from weir_common.postgres import Connection, as_tenant, tenant_transaction

from weir_tenant_admin.domain.latency import HISTOGRAM_SIZE
from weir_tenant_admin.domain.service_levels import FreshnessMinute, RequestMinute
from weir_tenant_admin.ports import RequestKey, RequestSums

_ADD = """
INSERT INTO tenant_admin.request_minute AS present
    (tenant_id, minute, service, route, method, total, client_errors, over_quota, server_errors,
     within_50ms, within_5s, events, latency_buckets)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (tenant_id, minute, service, route, method) DO UPDATE SET
    total = present.total + excluded.total,
    client_errors = present.client_errors + excluded.client_errors,
    over_quota = present.over_quota + excluded.over_quota,
    server_errors = present.server_errors + excluded.server_errors,
    within_50ms = present.within_50ms + excluded.within_50ms,
    within_5s = present.within_5s + excluded.within_5s,
    events = present.events + excluded.events,
    latency_buckets = ARRAY(
        SELECT mine + theirs
        FROM unnest(present.latency_buckets, excluded.latency_buckets) WITH ORDINALITY AS both_(mine, theirs, place)
        ORDER BY place)
"""

_WATCH = """
INSERT INTO tenant_admin.freshness_minute AS present (tenant_id, minute, service, watched, late)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (tenant_id, minute, service) DO UPDATE SET
    watched = present.watched | excluded.watched, late = present.late | excluded.late
"""


async def add_request_counts(
    connection: Connection, tenant_id: TenantId, sums: Mapping[RequestKey, RequestSums]
) -> None:
    """Add to what is there, in the running transaction, which must have been switched to ``tenant_id``."""
    await connection.executemany(
        _ADD,
        [
            (
                tenant_id,
                key.minute,
                key.service,
                key.route,
                key.method,
                row.total,
                row.client_errors,
                row.over_quota,
                row.server_errors,
                row.within_50ms,
                row.within_5s,
                row.events,
                row.latency_buckets,
            )
            for key, row in sorted(sums.items())  # one order for all, so that two transactions cannot lock each other
        ],
    )


class PostgresServiceLevels:
    """What reports are made from."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def request_minutes(
        self, tenant_id: TenantId, since: datetime, *, routes: Sequence[str] | None, fast_within: Literal["50ms", "5s"]
    ) -> Sequence[RequestMinute]:
        """By minute, ascending. ``routes`` None means all; ``fast_within`` is ``50ms`` or ``5s``."""
        fast = {"50ms": "within_50ms", "5s": "within_5s"}[fast_within]
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            rows = await connection.fetch(
                "SELECT minute, sum(total)::bigint, sum(client_errors)::bigint, sum(over_quota)::bigint, "  # noqa: S608 - one of two names
                f"sum(server_errors)::bigint, sum({fast})::bigint "
                "FROM tenant_admin.request_minute "
                "WHERE tenant_id = $1 AND minute >= $2 AND ($3::text[] IS NULL OR route = ANY($3)) "
                "GROUP BY minute ORDER BY minute",
                tenant_id,
                since,
                list(routes) if routes is not None else None,
            )
        return [RequestMinute(*row.values()) for row in rows]

    async def latency_histogram(
        self, tenant_id: TenantId, since: datetime, *, routes: Sequence[str] | None
    ) -> Sequence[int]:
        """Requests by latency bucket, ``HISTOGRAM_SIZE`` of them."""
        histogram = [0] * HISTOGRAM_SIZE
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            rows = await connection.fetch(
                "SELECT place, sum(requests)::bigint AS requests FROM tenant_admin.request_minute, "
                "unnest(latency_buckets) WITH ORDINALITY AS bucket(requests, place) "
                "WHERE tenant_id = $1 AND minute >= $2 AND ($3::text[] IS NULL OR route = ANY($3)) AND requests > 0 "
                "GROUP BY place",
                tenant_id,
                since,
                list(routes) if routes is not None else None,
            )
        for row in rows:
            histogram[row["place"] - 1] = row["requests"]
        return histogram

    async def events_between(self, tenant_id: TenantId, since: datetime, until: datetime) -> int | None:
        """Events that ingest accepted; None when nothing at all was counted for the tenant in that time."""
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            events = await connection.fetchval(
                "SELECT sum(events)::bigint FROM tenant_admin.request_minute "
                "WHERE tenant_id = $1 AND minute >= $2 AND minute < $3",
                tenant_id,
                since,
                until,
            )
        return None if events is None else int(events)

    async def freshness_minutes(self, tenant_id: TenantId, since: datetime, service: str) -> Sequence[FreshnessMinute]:
        """By minute, ascending."""
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            rows = await connection.fetch(
                "SELECT minute, watched, late FROM tenant_admin.freshness_minute "
                "WHERE tenant_id = $1 AND minute >= $2 AND service = $3 ORDER BY minute",
                tenant_id,
                since,
                service,
            )
        return [FreshnessMinute(*row.values()) for row in rows]

    async def watch(self, seen: Mapping[tuple[TenantId, str], Mapping[int, tuple[int, int]]]) -> None:
        """Add watched and late seconds, (tenant, service) → minute (epoch) → two sets; repeats change nothing."""
        async with self._pool.acquire(timeout=5) as connection, connection.transaction():
            for (tenant_id, service), minutes in sorted(seen.items()):
                await as_tenant(connection, tenant_id)
                await connection.executemany(
                    _WATCH,
                    [
                        (tenant_id, datetime.fromtimestamp(minute * 60, UTC), service, watched, late)
                        for minute, (watched, late) in sorted(minutes.items())
                    ],
                )

    async def forget(self, tenant_id: TenantId, before: datetime, *, limit: int) -> int:
        """See ``MinuteStore.forget``."""
        return await forget_minutes(self._pool, tenant_id, ("request_minute", "freshness_minute"), before, limit=limit)


async def forget_minutes(
    pool: asyncpg.Pool, tenant_id: TenantId, tables: Sequence[str], before: datetime, *, limit: int
) -> int:
    """Delete up to ``limit`` rows of each of the tables that are older; how many were. ``RetryError`` without an answer."""
    deleted = 0
    try:
        for table in tables:
            async with tenant_transaction(pool, tenant_id) as connection:
                status = await connection.execute(
                    f"DELETE FROM tenant_admin.{table} WHERE ctid = ANY(ARRAY("  # noqa: S608 - the tables are ours
                    f"SELECT ctid FROM tenant_admin.{table} WHERE tenant_id = $1 AND minute < $2 LIMIT $3))",
                    tenant_id,
                    before,
                    limit,
                )
            deleted += int(status.split(" ")[1])
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        raise RetryError(f"PostgreSQL did not answer: {error!r}") from error
    return deleted
