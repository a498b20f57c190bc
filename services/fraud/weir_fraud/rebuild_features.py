"""Fill the histories of the feature store anew, from payments of the past: after it lost them, or beside it to compare."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

from weir_common.ids import TenantId

from weir_fraud.domain.history import Snapshot
from weir_fraud.domain.payment import Payment, observed_of
from weir_fraud.known_labels import known_labels
from weir_fraud.ports import FeatureStore, LabelStore, PaymentLog

AT_ONCE: Final = 1_000


class RebuildFeatures:
    """What is there already stays: a payment that a history has is not added again, whoever added it."""

    def __init__(self, payments: PaymentLog, labels: LabelStore, features: FeatureStore) -> None:
        self._payments = payments
        self._labels = labels
        self._features = features
        self.labelled = 0
        """Payments of which something had become known."""

    async def __call__(
        self, tenant_id: TenantId | None = None
    ) -> AsyncIterator[tuple[Sequence[Payment], Sequence[Snapshot]]]:
        """Batch by batch, each with what the feature store says of it. `RetryError` if the log or a store is away."""
        async for batch in self._payments.batches(AT_ONCE, tenant_id):
            known = await known_labels(self._labels.labels, batch)
            snapshots = await self._features.replay(batch, known)
            by_now = await known_labels(self._labels.labels, batch)
            for payment, before, now in zip(batch, known, by_now, strict=True):
                # A label that came in between found no history to put itself on; one that comes from now on does.
                if now is not None and now != before:
                    await self._features.label(payment.tenant_id, observed_of(payment), now)
            self.labelled += sum(one is not None for one in by_now)
            yield batch, snapshots
