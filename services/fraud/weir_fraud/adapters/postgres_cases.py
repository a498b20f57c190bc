"""Labels and cases in PostgreSQL: `LabelStore` and `CaseStore` of one pool, with what they have in common, the transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
from weir_common.audit import AuditEntry, audit_record
from weir_common.ids import EventId, TenantId
from weir_common.kafka.records import OutgoingRecord
from weir_common.outbox import add_to_outbox
from weir_common.postgres import Connection, tenant_transaction
from weir_common.telemetry import traceparent_of

from weir_fraud.adapters.label_record import label_record
from weir_fraud.adapters.postgres_decisions import SCHEMA
from weir_fraud.adapters.postgres_faults import asked
from weir_fraud.adapters.postgres_labels import insert_labels, labels_of, subjects_of_decisions
from weir_fraud.domain.label import Label, LabelKey
from weir_fraud.domain.review_case import (
    MAX_ACTIONS,
    ActionKind,
    CaseAction,
    CaseState,
    Resolution,
    ReviewCase,
    SealedNote,
)
from weir_fraud.errors import DecisionStoreUnavailable
from weir_fraud.ports import AddedLabel, QueuedCase, QueueFilter, QueueOrder, Work

_CASE: Final = (
    "c.event_id, c.score AS case_score, c.opened_at, c.state, c.assignee, c.resolution, c.resolved_at, c.version"
)
_SEEK: Final = {
    QueueOrder.SCORE: (
        "($5::double precision IS NULL OR (c.score <= $5 AND (c.score < $5 OR c.event_id > $6::uuid)))",
        "score DESC",
        "case_score DESC",
    ),
    QueueOrder.OLDEST: (
        "($5::timestamptz IS NULL OR (c.opened_at, c.event_id) > ($5, $6::uuid))",
        "opened_at",
        "opened_at",
    ),
}
"""What comes after the last one seen; the order within the index and of the page."""


class PostgresCases:
    """See `LabelStore` and `CaseStore`."""

    def __init__(self, pool: asyncpg.Pool, wake_outbox: Callable[[], None]) -> None:
        self._pool = pool
        self._wake_outbox = wake_outbox

    @asynccontextmanager
    async def work(self, tenant_id: TenantId) -> AsyncIterator[Work]:
        """See `LabelStore.work`."""
        with asked():
            async with tenant_transaction(self._pool, tenant_id) as connection:
                yield PostgresWork(connection, tenant_id)
        self._wake_outbox()

    async def labels(self, tenant_id: TenantId, event_ids: Sequence[EventId]) -> Mapping[EventId, Sequence[Label]]:
        """See `LabelStore.labels`."""
        with asked():
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                return await labels_of(connection, tenant_id, event_ids)

    async def cases(self, tenant_id: TenantId, event_ids: Sequence[EventId]) -> Mapping[EventId, ReviewCase]:
        """See `CaseStore.cases`."""
        rows = await self._fetch(
            tenant_id,
            "SELECT found.* FROM unnest($2::uuid[]) AS asked (event_id) CROSS JOIN LATERAL "  # noqa: S608 - constants
            f"(SELECT {_CASE} FROM fraud.review_case AS c WHERE c.tenant_id = $1 AND c.event_id = asked.event_id LIMIT 1) AS found",
            [UUID(event_id) for event_id in event_ids],
        )
        return {case.event_id: case for case in (_case(tenant_id, row) for row in rows)}

    async def history(self, tenant_id: TenantId, event_id: EventId) -> Sequence[CaseAction]:
        """See `CaseStore.history`."""
        rows = await self._fetch(
            tenant_id,
            "SELECT version, action, actor, actor_kind, acted_at, assignee, resolution, note_key_id, note_sealed FROM fraud.case_action "
            "WHERE tenant_id = $1 AND event_id = $2 ORDER BY version LIMIT $3",
            UUID(event_id),
            MAX_ACTIONS + 1,
        )
        return [_action(row) for row in rows]

    async def queue(
        self,
        tenant_id: TenantId,
        chosen: QueueFilter,
        order: QueueOrder,
        *,
        after: tuple[float | datetime, EventId] | None,
        limit: int,
    ) -> Sequence[QueuedCase]:
        """See `CaseStore.queue`. The condition on the state is that of the partial indexes."""
        seek, by, shown_by = _SEEK[order]
        part = "c.state = 'resolved'" if chosen.state is CaseState.RESOLVED else "c.state <> 'resolved'"
        rows = await self._fetch(
            tenant_id,
            "SELECT page.*, d.transaction_id, d.event_timestamp, d.amount, d.currency, d.reason_codes, d.is_explained "  # noqa: S608 - constants
            f"FROM (SELECT {_CASE} FROM fraud.review_case AS c "
            f"WHERE c.tenant_id = $1 AND {part} AND ($2::text IS NULL OR c.state = $2) AND ($3::text IS NULL OR c.assignee = $3) "
            f"AND c.score >= $4 AND {seek} ORDER BY c.{by}, c.event_id LIMIT $7) AS page "
            "CROSS JOIN LATERAL (SELECT o.transaction_id, o.event_timestamp, o.amount, o.currency, o.reason_codes, "
            "cardinality(o.contributions) = cardinality(o.feature_values) AS is_explained "
            "FROM fraud.decision AS o WHERE o.tenant_id = $1 AND o.event_id = page.event_id LIMIT 1) AS d "
            f"ORDER BY page.{shown_by}, page.event_id",
            None if chosen.state is None else chosen.state.value,
            chosen.assignee,
            chosen.least_score,
            None if after is None else after[0],
            None if after is None else UUID(after[1]),
            limit,
        )
        return [
            QueuedCase(
                _case(tenant_id, row),
                row["transaction_id"],
                row["event_timestamp"],
                row["amount"],
                row["currency"],
                tuple(row["reason_codes"]) if row["is_explained"] else None,
            )
            for row in rows
        ]

    async def _fetch(self, tenant_id: TenantId, query: str, *arguments: Any) -> list[asyncpg.Record]:
        with asked():
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                return await connection.fetch(query, tenant_id, *arguments)


class PostgresWork:
    """See `Work`. The transaction is open and switched to the tenant."""

    def __init__(self, connection: Connection, tenant_id: TenantId) -> None:
        self._connection = connection
        self._tenant_id = tenant_id

    async def add_labels(self, labels: Sequence[Label]) -> list[AddedLabel]:
        """See `Work.add_labels`."""
        first: dict[LabelKey, Label] = {}
        for label in labels:
            first.setdefault(label.key, label)
        new = await insert_labels(self._connection, self._tenant_id, list(first.values()))
        events = list({label.event_id for label in labels})
        subjects = await subjects_of_decisions(self._connection, self._tenant_id, events)
        traceparent = traceparent_of()
        announced: list[OutgoingRecord] = []
        added: list[AddedLabel] = []
        for label in labels:
            subject = subjects.get(label.event_id)
            is_new = label.key in new
            if is_new:
                # Further ones of the same request are repeats of this one.
                new.remove(label.key)
                announced.append(label_record(label, subject, traceparent))
            added.append(AddedLabel(is_new, subject))
        await add_to_outbox(self._connection, SCHEMA, announced)
        return added

    async def case(self, event_id: EventId) -> ReviewCase | None:
        """See `Work.case`."""
        row = await self._connection.fetchrow(
            f"SELECT {_CASE} FROM fraud.review_case AS c WHERE c.tenant_id = $1 AND c.event_id = $2 FOR UPDATE",  # noqa: S608 - constants
            self._tenant_id,
            UUID(event_id),
        )
        return None if row is None else _case(self._tenant_id, row)

    async def save(self, case: ReviewCase, action: CaseAction) -> None:
        """See `Work.save`."""
        saved = await self._connection.execute(
            "UPDATE fraud.review_case SET state = $3, assignee = $4, resolution = $5, resolved_at = $6, version = $7 "
            "WHERE tenant_id = $1 AND event_id = $2 AND version = $7 - 1",
            self._tenant_id,
            UUID(case.event_id),
            case.state.value,
            case.assignee,
            None if case.resolution is None else case.resolution.value,
            case.resolved_at,
            case.version,
        )
        if saved != "UPDATE 1":
            raise DecisionStoreUnavailable("the case was changed by somebody who did not wait for his turn")
        await self._connection.execute(
            "INSERT INTO fraud.case_action (tenant_id, event_id, version, action, actor, actor_kind, acted_at, assignee, resolution, "
            "note_key_id, note_sealed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            self._tenant_id,
            UUID(case.event_id),
            action.version,
            action.kind.value,
            action.actor,
            action.actor_kind,
            action.at,
            action.assignee,
            None if action.resolution is None else action.resolution.value,
            None if action.note is None else action.note.key_id,
            None if action.note is None else action.note.sealed,
        )

    async def audit(self, entry: AuditEntry) -> None:
        """See `Work.audit`."""
        await add_to_outbox(self._connection, SCHEMA, [audit_record(entry)])


def _case(tenant_id: TenantId, row: asyncpg.Record) -> ReviewCase:
    return ReviewCase(
        tenant_id=tenant_id,
        event_id=EventId(str(row["event_id"])),
        score=row["case_score"],
        opened_at=row["opened_at"],
        state=CaseState(row["state"]),
        assignee=row["assignee"],
        resolution=None if row["resolution"] is None else Resolution(row["resolution"]),
        resolved_at=row["resolved_at"],
        version=row["version"],
    )


def _action(row: asyncpg.Record) -> CaseAction:
    sealed = row["note_sealed"]
    return CaseAction(
        version=row["version"],
        kind=ActionKind(row["action"]),
        actor=row["actor"],
        actor_kind=row["actor_kind"],
        at=row["acted_at"],
        assignee=row["assignee"],
        resolution=None if row["resolution"] is None else Resolution(row["resolution"]),
        note=None if sealed is None else SealedNote(row["note_key_id"], sealed),
    )
