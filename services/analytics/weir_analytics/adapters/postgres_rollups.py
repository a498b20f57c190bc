"""Reads rollups for a dashboard from one snapshot of the database."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import asyncpg
import msgspec
from weir_common.ids import TenantId
from weir_common.postgres import as_tenant

from weir_analytics.domain.catalogue import Catalogue
from weir_analytics.domain.dashboard import CounterRow, Freshness, SketchRow
from weir_analytics.domain.event import moment
from weir_analytics.domain.facts import MICROSECONDS
from weir_analytics.domain.metric import Dimensions
from weir_analytics.domain.sketches.codec import decode_sketch
from weir_analytics.domain.window import Window
from weir_analytics.ports import Rollups

_DIMENSIONS: Final = msgspec.json.Decoder(Dimensions)


class PostgresRollups:
    """Implements `weir_analytics.ports.RollupReader`."""

    def __init__(self, pool: asyncpg.Pool, catalogue: Catalogue) -> None:
        self._pool = pool
        self._series = [metric.name for metric in catalogue if metric.series]

    async def read(self, tenant_id: TenantId, window: Window) -> Rollups:
        """Breakdowns, which are not drawn over time, come added up to the first bucket."""
        counters: list[CounterRow] = []
        sketches: list[SketchRow] = []
        async with (
            self._pool.acquire(timeout=2) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            await as_tenant(connection, tenant_id)
            first = window.buckets[0]
            for read in window.reads():
                span = (tenant_id, read.step, moment(read.start * MICROSECONDS), moment(read.end * MICROSECONDS))
                for row in await connection.fetch(
                    "SELECT metric, dimensions, CASE WHEN metric = ANY($5::text[]) "
                    "THEN extract(epoch FROM date_bin($6, bucket, 'epoch'))::bigint ELSE $7 END AS start, sum(value) AS value, sum(weight) AS weight "
                    "FROM analytics.rollup_counter WHERE tenant_id = $1 AND step = $2 AND bucket >= $3 AND bucket < $4 "
                    "GROUP BY 1, 2, 3",
                    *span,
                    self._series,
                    timedelta(seconds=window.step),
                    first,
                ):
                    dimensions = _DIMENSIONS.decode(row["dimensions"])
                    counters.append(CounterRow(row["metric"], dimensions, row["start"], row["value"], row["weight"]))
                for row in await connection.fetch(
                    "SELECT metric, dimensions, extract(epoch FROM date_bin($5, bucket, 'epoch'))::bigint AS start, sketch "
                    "FROM analytics.rollup_sketch WHERE tenant_id = $1 AND step = $2 AND bucket >= $3 AND bucket < $4",
                    *span,
                    timedelta(seconds=window.step),
                ):
                    dimensions = _DIMENSIONS.decode(row["dimensions"])
                    sketches.append(SketchRow(row["metric"], dimensions, row["start"], decode_sketch(row["sketch"])))
            fresh = await connection.fetchrow(
                "SELECT clock_timestamp() AS as_of, f.* FROM (VALUES (1)) AS always "
                "LEFT JOIN analytics.tenant_freshness AS f ON f.tenant_id = $1",
                tenant_id,
            )
        assert fresh is not None
        return Rollups(
            counters,
            sketches,
            Freshness(fresh["newest_event_at"], fresh["newest_accepted_at"], fresh["applied_at"]),
            fresh["as_of"],
        )
