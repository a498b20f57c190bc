"""Fill the histories of the feature store anew from the log: after it lost them, or beside it to compare."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

from weir_common.ids import EventId, TenantId

from weir_fraud.domain.history import Snapshot
from weir_fraud.domain.label import known_of
from weir_fraud.domain.payment import Known, Payment
from weir_fraud.ports import FeatureStore, LabelStore, PaymentLog

AT_ONCE: Final = 1_000


class RebuildFeatures:
    """What is there already stays: a payment that a history has is not added again.

    From the log, which keeps seven days; what is older is in the archive only, and is not read here.
    """

    def __init__(self, payments: PaymentLog, labels: LabelStore, features: FeatureStore) -> None:
        self._payments = payments
        self._labels = labels
        self._features = features

    async def __call__(
        self, tenant_id: TenantId | None = None
    ) -> AsyncIterator[tuple[Sequence[Payment], Sequence[Snapshot]]]:
        """Batch by batch, each with what the feature store says of it. `RetryError` if the log or a store is away."""
        async for batch in self._payments.batches(AT_ONCE, tenant_id):
            yield batch, await self._features.replay(batch, await self._known(batch))

    async def _known(self, payments: Sequence[Payment]) -> list[Known | None]:
        by_tenant: dict[TenantId, list[EventId]] = {}
        for payment in payments:
            by_tenant.setdefault(payment.tenant_id, []).append(payment.event_id)
        known: dict[tuple[TenantId, EventId], Known] = {}
        for tenant_id, event_ids in by_tenant.items():
            for event_id, labels in (await self._labels.labels(tenant_id, event_ids)).items():
                known[(tenant_id, event_id)] = known_of(labels)
        return [known.get((payment.tenant_id, payment.event_id)) for payment in payments]
