"""Drift in PostgreSQL: reads stored decisions and labels in bounded pieces, keeps the newest report of each tenant."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg
import msgspec
from weir_common.ids import EventId, TenantId
from weir_common.postgres import tenant_transaction

from weir_fraud.adapters.postgres_faults import asked
from weir_fraud.domain.drift import Calibration, DriftReport
from weir_fraud.ports import Snapshots

MAX_MATURED: Final = 20_000
"""Decisions whose labels are looked up, the newest."""
_document = msgspec.json.Decoder(DriftReport)


class PostgresDrift:
    """See `DriftStore`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def claim(self, at: datetime, every: timedelta) -> bool:
        with asked():
            async with self._pool.acquire(timeout=5) as connection:
                return bool(
                    await connection.fetchval(
                        "UPDATE fraud.drift_run SET began_at = $1 WHERE began_at <= $1::timestamptz - $2::interval RETURNING true",
                        at,
                        every,
                    )
                )

    async def snapshots(
        self, tenant_id: TenantId, version: str, since: datetime, before: tuple[datetime, EventId], limit: int
    ) -> Snapshots:
        with asked():
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                rows = await connection.fetch(
                    "SELECT decided_at, event_id, model_version, score, feature_values FROM fraud.decision WHERE tenant_id = $1 "
                    "AND decided_at >= $2 AND (decided_at, event_id) < ($3, $4) ORDER BY decided_at DESC, event_id DESC LIMIT $5",
                    tenant_id,
                    since,
                    before[0],
                    UUID(before[1]),
                    limit,
                )
        last = (rows[-1]["decided_at"], EventId(str(rows[-1]["event_id"]))) if len(rows) == limit else None
        return Snapshots(
            [(row["feature_values"], row["score"]) for row in rows if row["model_version"] == version], last
        )

    async def matured(self, tenant_id: TenantId, version: str, since: datetime, until: datetime) -> Calibration:
        with asked():
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                (row,) = await connection.fetch(
                    "SELECT count(*) AS decisions, count(label) AS labelled, count(*) FILTER (WHERE fraud) AS frauds, "
                    "coalesce(sum(score), 0) AS expected, coalesce(sum((score - fraud::integer) ^ 2), 0) AS squares FROM ("
                    "SELECT d.score, d.outcome, l.label, coalesce(l.label <> 'cleared', false) AS fraud FROM ("
                    "SELECT event_id, score, outcome, decided_at FROM fraud.decision WHERE tenant_id = $1 AND model_version = $2 "
                    "AND decided_at >= $3 AND decided_at < $4 ORDER BY decided_at DESC, event_id DESC LIMIT $5) AS d "
                    "LEFT JOIN LATERAL (SELECT label FROM fraud.label WHERE tenant_id = $1 AND event_id = d.event_id "
                    "ORDER BY occurred_at DESC, array_position(ARRAY['chargeback', 'confirmed', 'cleared'], label), recorded_at DESC "
                    "LIMIT 1) AS l ON true) AS judged WHERE outcome <> 'decline' OR label IS NOT NULL",
                    tenant_id,
                    version,
                    since,
                    until,
                    MAX_MATURED,
                )
        return Calibration(since=since, until=until, **dict(row))

    async def save(self, tenant_id: TenantId, report: DriftReport) -> None:
        with asked():
            async with tenant_transaction(self._pool, tenant_id) as connection:
                await connection.execute(
                    "INSERT INTO fraud.drift_report (tenant_id, version, computed_at, document) VALUES ($1, $2, $3, $4::text::jsonb) "
                    "ON CONFLICT (tenant_id, version) DO UPDATE SET computed_at = excluded.computed_at, document = excluded.document",
                    tenant_id,
                    report.version,
                    report.computed_at,
                    msgspec.json.encode(report).decode(),
                )

    async def report(self, tenant_id: TenantId, version: str) -> DriftReport | None:
        with asked():
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                document = await connection.fetchval(
                    "SELECT document::text FROM fraud.drift_report WHERE tenant_id = $1 AND version = $2",
                    tenant_id,
                    version,
                )
        return None if document is None else _document.decode(document)
