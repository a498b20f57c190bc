"""Labels in PostgreSQL, table `fraud.label`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg
from weir_common.ids import EventId, SubjectId, TenantId
from weir_common.postgres import Connection

from weir_fraud.domain.label import Label, LabelKey, LabelKind, LabelSource

_MOST: Final = 1_000
"""Labels of one event that are read."""


async def insert_labels(connection: Connection, tenant_id: TenantId, labels: Sequence[Label]) -> set[LabelKey]:
    """Those that are new. In one order whoever sends them, so that two batches never wait for each other in a ring."""
    ordered = sorted(labels, key=lambda label: label.key)
    rows = await connection.fetch(
        "INSERT INTO fraud.label (tenant_id, event_id, label, occurred_at, recorded_at, recorded_by, source, reference) "
        "SELECT $1, event_id, label, occurred_at, recorded_at, recorded_by, source, reference FROM "
        "unnest($2::uuid[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::text[], $7::text[], $8::text[]) "
        "WITH ORDINALITY AS new (event_id, label, occurred_at, recorded_at, recorded_by, source, reference, place) ORDER BY place "
        "ON CONFLICT (tenant_id, event_id, label, occurred_at) DO NOTHING RETURNING event_id, label, occurred_at",
        tenant_id,
        [UUID(label.event_id) for label in ordered],
        [label.kind.value for label in ordered],
        [label.occurred_at for label in ordered],
        [label.recorded_at for label in ordered],
        [label.recorded_by for label in ordered],
        [label.source.value for label in ordered],
        [label.reference for label in ordered],
    )
    return {LabelKey(EventId(str(row["event_id"])), LabelKind(row["label"]), row["occurred_at"]) for row in rows}


async def subjects_of_decisions(
    connection: Connection, tenant_id: TenantId, event_ids: Sequence[EventId]
) -> dict[EventId, SubjectId]:
    """Whom the decision on each event is about, where there is one."""
    rows = await connection.fetch(
        "SELECT asked.event_id, found.subject FROM unnest($2::uuid[]) AS asked (event_id) CROSS JOIN LATERAL "
        "(SELECT d.subject FROM fraud.decision AS d WHERE d.tenant_id = $1 AND d.event_id = asked.event_id LIMIT 1) AS found",
        tenant_id,
        [UUID(event_id) for event_id in event_ids],
    )
    return {EventId(str(row["event_id"])): SubjectId(row["subject"]) for row in rows}


async def labels_of(
    connection: Connection, tenant_id: TenantId, event_ids: Sequence[EventId]
) -> dict[EventId, list[Label]]:
    """See `LabelStore.labels`."""
    rows = await connection.fetch(
        "SELECT found.* FROM unnest($2::uuid[]) AS asked (event_id) CROSS JOIN LATERAL "
        "(SELECT l.event_id, l.label, l.occurred_at, l.recorded_at, l.recorded_by, l.source, l.reference FROM fraud.label AS l "
        "WHERE l.tenant_id = $1 AND l.event_id = asked.event_id ORDER BY l.occurred_at DESC, l.label LIMIT $3) AS found",
        tenant_id,
        [UUID(event_id) for event_id in event_ids],
        _MOST,
    )
    found: dict[EventId, list[Label]] = {}
    for row in rows:
        label = _label(tenant_id, row)
        found.setdefault(label.event_id, []).append(label)
    return found


async def labels_until(connection: Connection, tenant_id: TenantId, until: datetime) -> dict[EventId, list[Label]]:
    """All that was known of the tenant's payments at a time. By a cursor: a year of chargebacks is not held twice."""
    found: dict[EventId, list[Label]] = {}
    async for row in connection.cursor(
        "SELECT l.event_id, l.label, l.occurred_at, l.recorded_at, l.recorded_by, l.source, l.reference FROM fraud.label AS l "
        "WHERE l.tenant_id = $1 AND l.occurred_at <= $2",
        tenant_id,
        until,
        prefetch=_MOST,
    ):
        label = _label(tenant_id, row)
        found.setdefault(label.event_id, []).append(label)
    return found


def _label(tenant_id: TenantId, row: asyncpg.Record) -> Label:
    return Label(
        tenant_id=tenant_id,
        event_id=EventId(str(row["event_id"])),
        kind=LabelKind(row["label"]),
        occurred_at=row["occurred_at"],
        recorded_at=row["recorded_at"],
        recorded_by=row["recorded_by"],
        source=LabelSource(row["source"]),
        reference=row["reference"],
    )
