"""Keep what became known of payments: a history, announced in the same transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum

from weir_common.audit import AuditEntry
from weir_common.auth import Action, Principal
from weir_common.ids import TenantId

from weir_fraud.domain.label import Label
from weir_fraud.label_metrics import LabelMetrics
from weir_fraud.ports import LabelStore, Work

SERVICE = "fraud"


class LabelStatus(StrEnum):
    """``unknown_event``: kept, though there is no decision on the event (yet). ``invalid``: not kept."""

    RECORDED = "recorded"
    DUPLICATE = "duplicate"
    UNKNOWN_EVENT = "unknown_event"
    INVALID = "invalid"


class RecordLabels:
    """The use case of the feedback endpoint, and of the resolution of a case within the transaction of that."""

    def __init__(self, store: LabelStore, metrics: LabelMetrics) -> None:
        self._store = store
        self._metrics = metrics

    async def __call__(
        self, tenant_id: TenantId, labels: Sequence[Label], caller: Principal, object_ref: str
    ) -> list[LabelStatus]:
        """One status each, in order. Of one request one entry in the audit log, unless it changed nothing."""
        if not labels:
            return []
        async with self._store.work(tenant_id) as work:
            statuses = await self.within(work, labels)
            counts = Counter(statuses)
            if counts[LabelStatus.DUPLICATE] < len(labels):
                await work.audit(
                    AuditEntry(
                        tenant_id=tenant_id,
                        actor=caller.subject,
                        actor_kind=caller.kind,
                        action=str(Action.FRAUD_LABEL),
                        object_ref=object_ref,
                        outcome="success",
                        service=SERVICE,
                        detail={status.value: str(count) for status, count in sorted(counts.items())},
                    )
                )
        self.count(labels, statuses)
        return statuses

    async def within(self, work: Work, labels: Sequence[Label]) -> list[LabelStatus]:
        """As part of a transaction that does more; `count` them when it has committed."""
        return [
            LabelStatus.DUPLICATE
            if not added.is_new
            else LabelStatus.UNKNOWN_EVENT
            if added.subject is None
            else LabelStatus.RECORDED
            for added in await work.add_labels(labels)
        ]

    def count(self, labels: Sequence[Label], statuses: Sequence[LabelStatus]) -> None:
        """What was committed."""
        for label, status in zip(labels, statuses, strict=True):
            self._metrics.received(label.kind.value, status.value)
