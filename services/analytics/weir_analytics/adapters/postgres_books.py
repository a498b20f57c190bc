"""The books in PostgreSQL: one statement a table, tenant and micro-batch.

A micro-batch first takes one advisory lock for each of its tenants, in order. Two instances that apply the same tenant's events (its partitions may
be spread over them) so never wait for each other crosswise, and what one reads stays true until it writes. Little is lost by
it: both would queue for the rows of the current minute anyway.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Final

import msgspec
from weir_common.ids import TenantId
from weir_common.kafka.consumer import Transaction
from weir_common.postgres import Connection

from weir_analytics.domain.event import EARLIEST, microseconds, moment
from weir_analytics.domain.facts import MICROSECONDS, Microseconds, Purchase
from weir_analytics.domain.metric import Dimensions
from weir_analytics.domain.rollup import Cell
from weir_analytics.domain.sessions import Activity, DeviceSession
from weir_analytics.domain.sketches.codec import Sketch, decode_sketch
from weir_analytics.ports import Changes, DeviceHistory

_ACTIVITIES: Final = msgspec.msgpack.Decoder(list[Activity])
_SESSION: Final = msgspec.msgpack.Decoder(DeviceSession)
_PURCHASE: Final = msgspec.json.Decoder(Purchase)
_DIMENSIONS: Final = msgspec.json.Decoder(Dimensions)


class PostgresBooks:
    """Implements `weir_analytics.ports.Books`."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def lock(self, tenants: Iterable[TenantId]) -> None:
        names = sorted(tenants)
        await self._transaction.connection.execute(
            "SELECT count(pg_advisory_xact_lock(hashtextextended('weir.analytics.books:' || name, 0))) "
            "FROM (SELECT name FROM unnest($1::text[]) WITH ORDINALITY AS t (name, place) ORDER BY place) AS ordered",
            names,
        )

    async def of(self, tenant_id: TenantId) -> PostgresTenantBooks:
        await self._transaction.as_tenant(tenant_id)
        return PostgresTenantBooks(self._transaction.connection, tenant_id)


class PostgresTenantBooks:
    """Implements `weir_analytics.ports.TenantBooks`; the connection's transaction is that tenant's."""

    def __init__(self, connection: Connection, tenant_id: TenantId) -> None:
        self._connection = connection
        self._tenant_id = tenant_id

    async def orders(self, keys: Collection[str]) -> Mapping[str, Purchase]:
        rows = await self._connection.fetch(
            "SELECT placed.* FROM unnest($2::text[]) AS asked (order_key) CROSS JOIN LATERAL ("
            "SELECT o.order_key, o.purchase FROM analytics.placed_order AS o "
            "WHERE o.tenant_id = $1 AND o.order_key = asked.order_key LIMIT 1) AS placed",
            self._tenant_id,
            list(keys),
        )
        return {row["order_key"]: _PURCHASE.decode(row["purchase"]) for row in rows}

    async def last_sessions(self, devices: Collection[str]) -> Mapping[str, DeviceSession]:
        rows = await self._connection.fetch(
            "SELECT asked.device, newest.last_session FROM unnest($2::text[]) AS asked (device) CROSS JOIN LATERAL ("
            "SELECT a.last_session FROM analytics.device_activity AS a "
            "WHERE a.tenant_id = $1 AND a.device = asked.device ORDER BY a.batch DESC LIMIT 1) AS newest",
            self._tenant_id,
            list(devices),
        )
        return {row["device"]: _SESSION.decode(row["last_session"]) for row in rows}

    async def histories(self, devices: Collection[str], since: Microseconds | None) -> Mapping[str, DeviceHistory]:
        rows = await self._connection.fetch(
            "SELECT asked.device, "
            "ARRAY(SELECT a.activities FROM analytics.device_activity AS a "
            "WHERE a.tenant_id = $1 AND a.device = asked.device AND a.last_at >= $3) AS batches, "
            "NOT EXISTS (SELECT FROM analytics.device_activity AS a "
            "WHERE a.tenant_id = $1 AND a.device = asked.device AND a.last_at < $3) AS complete "
            "FROM unnest($2::text[]) AS asked (device)",
            self._tenant_id,
            list(devices),
            EARLIEST if since is None else moment(since),
        )
        return {
            row["device"]: DeviceHistory(
                [activity for batch in row["batches"] for activity in _ACTIVITIES.decode(batch)], row["complete"]
            )
            for row in rows
        }

    async def sketches(self, cells: Collection[Cell]) -> Mapping[Cell, Sketch]:
        rows = await self._connection.fetch(
            "SELECT kept.* FROM unnest($2::text[], $3::integer[], $4::timestamptz[], $5::text[]) "
            "AS asked (metric, step, bucket, dimensions) CROSS JOIN LATERAL ("
            "SELECT r.metric, r.step, r.bucket, r.dimensions, r.sketch FROM analytics.rollup_sketch AS r "
            "WHERE r.tenant_id = $1 AND r.step = asked.step AND r.bucket = asked.bucket AND r.metric = asked.metric "
            "AND r.dimensions = asked.dimensions LIMIT 1) AS kept",
            self._tenant_id,
            *_columns(cells),
        )
        return {
            Cell(
                row["metric"],
                row["step"],
                microseconds(row["bucket"]) // MICROSECONDS,
                _DIMENSIONS.decode(row["dimensions"]),
            ): decode_sketch(row["sketch"])
            for row in rows
        }

    async def store(self, changes: Changes) -> None:
        """All tables in one statement: most of what a statement costs is its way there and back."""
        counters, sketches = sorted(changes.counters), sorted(changes.sketches)
        sums = [changes.counters[cell] for cell in counters]
        await self._connection.execute(
            _STORE,
            self._tenant_id,
            *_columns(counters),
            [value for value, _ in sums],
            [weight for _, weight in sums],
            *_columns(sketches),
            [changes.sketches[cell].encode() for cell in sketches],
            list(changes.orders),
            [moment(purchase.at) for purchase in changes.orders.values()],
            [msgspec.json.encode(purchase).decode() for purchase in changes.orders.values()],
            list(changes.activities),
            [moment(several[-1].at) for several in changes.activities.values()],
            [msgspec.msgpack.encode(several) for several in changes.activities.values()],
            [msgspec.msgpack.encode(changes.last_sessions[device]) for device in changes.activities],
            changes.events,
            moment(changes.newest_event),
            changes.newest_accepted_at,
        )


_STORE: Final = """
WITH counters AS (
    INSERT INTO analytics.rollup_counter AS r (tenant_id, metric, step, bucket, dimensions, value, weight)
    SELECT $1, * FROM unnest($2::text[], $3::integer[], $4::timestamptz[], $5::text[], $6::numeric[], $7::numeric[])
    ON CONFLICT (tenant_id, step, bucket, metric, dimensions)
    DO UPDATE SET value = r.value + excluded.value, weight = r.weight + excluded.weight
), sketches AS (
    INSERT INTO analytics.rollup_sketch (tenant_id, metric, step, bucket, dimensions, sketch)
    SELECT $1, * FROM unnest($8::text[], $9::integer[], $10::timestamptz[], $11::text[], $12::bytea[])
    ON CONFLICT (tenant_id, step, bucket, metric, dimensions) DO UPDATE SET sketch = excluded.sketch
), orders AS (
    INSERT INTO analytics.placed_order (tenant_id, order_key, placed_at, purchase)
    SELECT $1, * FROM unnest($13::text[], $14::timestamptz[], $15::jsonb[])
    ON CONFLICT (tenant_id, order_key) DO UPDATE SET placed_at = excluded.placed_at, purchase = excluded.purchase
), activity AS (
    INSERT INTO analytics.device_activity (tenant_id, device, last_at, activities, last_session)
    SELECT $1, * FROM unnest($16::text[], $17::timestamptz[], $18::bytea[], $19::bytea[])
)
INSERT INTO analytics.tenant_freshness AS f (tenant_id, events, newest_event_at, newest_accepted_at, applied_at)
SELECT $1, $20::bigint, $21::timestamptz, $22::timestamptz, clock_timestamp() WHERE $22::timestamptz IS NOT NULL
ON CONFLICT (tenant_id) DO UPDATE SET
    events = f.events + excluded.events,
    newest_event_at = greatest(f.newest_event_at, excluded.newest_event_at),
    newest_accepted_at = greatest(f.newest_accepted_at, excluded.newest_accepted_at),
    applied_at = CASE WHEN excluded.newest_accepted_at > f.newest_accepted_at THEN excluded.applied_at ELSE f.applied_at END
"""


def _columns(cells: Collection[Cell]) -> tuple[list[str], list[int], list[datetime], list[str]]:
    """Cells as arrays for `unnest`: metric, step, bucket, dimensions."""
    return (
        [cell.metric for cell in cells],
        [cell.step for cell in cells],
        [moment(cell.bucket * MICROSECONDS) for cell in cells],
        [msgspec.json.encode(cell.dimensions).decode() for cell in cells],
    )
