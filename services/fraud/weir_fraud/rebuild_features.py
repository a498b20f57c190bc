"""Fill the histories of the feature store anew, from payments of the past: after it lost them, or beside it to compare."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Final

from weir_common.errors import RetryError
from weir_common.ids import TenantId

from weir_fraud.domain.history import Snapshot
from weir_fraud.domain.payment import Known, Payment, observed_of
from weir_fraud.known_labels import known_labels
from weir_fraud.ports import FeatureStore, LabelStore, PaymentLog
from weir_fraud.read_ahead import read_ahead

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
        """Batch by batch, each with what the feature store says of it. `RetryError` if the log or a store is away.

        While the feature store has one batch the next is read.
        """
        last: Sequence[Payment] = ()
        then: Sequence[Known | None] = ()
        async with aclosing(read_ahead(self._payments.batches(AT_ONCE, tenant_id))) as batches:
            try:
                async for batch in batches:
                    # One question for both: what is known of this batch, and what has become known of the one before.
                    now = await known_labels(self._labels.labels, [*last, *batch])
                    await self._put_late(last, then, now[: len(last)])
                    last, then = batch, now[len(last) :]
                    snapshots = await self._features.replay(batch, then)
                    yield batch, snapshots
            except RetryError:
                # Whoever rebuilds again finds the last batch there, its labels known, and nothing to add.
                await self._put_late(last, then, await known_labels(self._labels.labels, last))
                raise
        await self._put_late(last, then, await known_labels(self._labels.labels, last))

    async def _put_late(
        self, batch: Sequence[Payment], then: Sequence[Known | None], now: Sequence[Known | None]
    ) -> None:
        """A label that came after it was asked for found no history to put itself on; one that comes from now on does."""
        for payment, before, known in zip(batch, then, now, strict=True):
            if known is not None and known != before:
                await self._features.label(payment.tenant_id, observed_of(payment), known)
        self.labelled += sum(one is not None for one in now)
