"""Labels and cases in memory, for tests; cases are those of the decisions in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime

from weir_common.audit import AuditEntry
from weir_common.ids import EventId, SubjectId, TenantId

from weir_fraud.adapters.memory_decisions import MemoryDecisions
from weir_fraud.domain.label import Label
from weir_fraud.domain.outcome import Outcome
from weir_fraud.domain.review_case import ActionKind, CaseAction, CaseState, ReviewCase
from weir_fraud.ports import AddedLabel, QueuedCase, QueueFilter, QueueOrder, Work


@dataclass
class _Held:
    """What one tenant has."""

    labels: list[Label] = field(default_factory=list)
    cases: dict[EventId, ReviewCase] = field(default_factory=dict)
    actions: dict[EventId, list[CaseAction]] = field(default_factory=dict)
    announced: list[tuple[Label, SubjectId | None]] = field(default_factory=list)
    audited: list[AuditEntry] = field(default_factory=list)


class MemoryCases:
    """See `LabelStore` and `CaseStore`. A tenant's transactions take turns; `announced` and `audited` are what the outbox would hold."""

    def __init__(self, decisions: MemoryDecisions) -> None:
        self._decisions = decisions
        self._held: dict[TenantId, _Held] = {}
        self._turns: dict[TenantId, asyncio.Lock] = {}

    def announced(self, tenant_id: TenantId) -> list[tuple[Label, SubjectId | None]]:
        """Labels with whom their payment is about."""
        return self._of(tenant_id).announced

    def audited(self, tenant_id: TenantId) -> list[AuditEntry]:
        """Entries of the audit log."""
        return self._of(tenant_id).audited

    @asynccontextmanager
    async def work(self, tenant_id: TenantId) -> AsyncIterator[Work]:
        """See `LabelStore.work`."""
        async with self._turns.setdefault(tenant_id, asyncio.Lock()):
            begun = deepcopy(self._of(tenant_id))
            # As on a server, where each statement is awaited.
            await asyncio.sleep(0)
            yield _MemoryWork(begun, self._decisions, tenant_id)
            await asyncio.sleep(0)
            self._held[tenant_id] = begun

    async def labels(self, tenant_id: TenantId, event_ids: Sequence[EventId]) -> Mapping[EventId, Sequence[Label]]:
        """See `LabelStore.labels`."""
        newest_first = sorted(self._of(tenant_id).labels, key=lambda label: label.kind.value)
        newest_first.sort(key=lambda label: label.occurred_at, reverse=True)
        found: dict[EventId, list[Label]] = {}
        for label in newest_first:
            if label.event_id in event_ids:
                found.setdefault(label.event_id, []).append(label)
        return found

    async def cases(self, tenant_id: TenantId, event_ids: Sequence[EventId]) -> Mapping[EventId, ReviewCase]:
        """See `CaseStore.cases`."""
        return {event_id: case for event_id, case in self._of(tenant_id).cases.items() if event_id in event_ids}

    async def history(self, tenant_id: TenantId, event_id: EventId) -> Sequence[CaseAction]:
        """See `CaseStore.history`."""
        return list(self._of(tenant_id).actions.get(event_id, ()))

    async def queue(
        self,
        tenant_id: TenantId,
        chosen: QueueFilter,
        order: QueueOrder,
        *,
        after: tuple[float | datetime, EventId] | None,
        limit: int,
    ) -> Sequence[QueuedCase]:
        """See `CaseStore.queue`."""

        def place(case: ReviewCase) -> tuple[float, EventId]:
            if order is QueueOrder.SCORE:
                return -case.score, case.event_id
            return case.opened_at.timestamp(), case.event_id

        start = None
        if after is not None:
            value, event_id = after
            start = (value.timestamp() if isinstance(value, datetime) else -value, event_id)
        cases = [
            case
            for case in self._of(tenant_id).cases.values()
            if (case.state is chosen.state if chosen.state is not None else case.state is not CaseState.RESOLVED)
            and (chosen.assignee is None or case.assignee == chosen.assignee)
            and case.score >= chosen.least_score
            and (start is None or place(case) > start)
        ]
        return [await self._queued(case) for case in sorted(cases, key=place)[:limit]]

    async def _queued(self, case: ReviewCase) -> QueuedCase:
        decision = await self._decisions.find(case.tenant_id, case.event_id)
        if decision is None:
            raise AssertionError("a case without a decision")
        return QueuedCase(
            case,
            decision.transaction_id,
            decision.event_timestamp,
            decision.amount,
            decision.currency,
            decision.reason_codes if decision.is_explained else None,
        )

    def _of(self, tenant_id: TenantId) -> _Held:
        held = self._held.setdefault(tenant_id, _Held())
        for decision in self._decisions.announced:
            if (
                decision.tenant_id == tenant_id
                and decision.outcome is Outcome.REVIEW
                and decision.event_id not in held.cases
            ):
                held.cases[decision.event_id] = ReviewCase(
                    tenant_id=tenant_id,
                    event_id=decision.event_id,
                    score=decision.score,
                    opened_at=decision.decided_at,
                )
                opened = CaseAction(
                    version=1, kind=ActionKind.OPENED, actor="fraud", actor_kind="service", at=decision.decided_at
                )
                held.actions[decision.event_id] = [opened]
        return held


class _MemoryWork:
    """See `Work`."""

    def __init__(self, held: _Held, decisions: MemoryDecisions, tenant_id: TenantId) -> None:
        self._held = held
        self._decisions = decisions
        self._tenant_id = tenant_id

    async def add_labels(self, labels: Sequence[Label]) -> list[AddedLabel]:
        added = []
        for label in labels:
            decision = await self._decisions.find(self._tenant_id, label.event_id)
            subject = None if decision is None else decision.subject
            is_new = label.key not in {known.key for known in self._held.labels}
            if is_new:
                self._held.labels.append(label)
                self._held.announced.append((label, subject))
            added.append(AddedLabel(is_new, subject))
        return added

    async def case(self, event_id: EventId) -> ReviewCase | None:
        return self._held.cases.get(event_id)

    async def save(self, case: ReviewCase, action: CaseAction) -> None:
        self._held.cases[case.event_id] = case
        self._held.actions[case.event_id].append(action)

    async def audit(self, entry: AuditEntry) -> None:
        self._held.audited.append(entry)
