"""Puts labels on the payments that they are about, so that what turned out to be fraud counts in the features of later ones.

Every label of the event is read anew: the one that counts may be another than the one that came.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from weir_common.errors import QuarantineError
from weir_common.kafka.consumer import Transaction
from weir_common.kafka.records import Record

from weir_fraud.adapters.label_record import LabelRecord
from weir_fraud.adapters.postgres_decisions import histories_of
from weir_fraud.adapters.postgres_labels import labels_of
from weir_fraud.domain.label import known_of
from weir_fraud.label_metrics import LabelMetrics
from weir_fraud.ports import FeatureStore


class ApplyLabels:
    """The handler of the consumer `labels`. A label that is put on once more changes nothing."""

    def __init__(self, features: FeatureStore, metrics: LabelMetrics) -> None:
        self._features = features
        self._metrics = metrics
        self._decoder = msgspec.json.Decoder(LabelRecord)

    async def apply(self, batch: Sequence[Record], transaction: Transaction) -> None:
        """Of a payment without a decision the label waits in the store until the payment is imported."""
        put: list[bool] = []
        for record in batch:
            try:
                event_id = self._decoder.decode(record.value).event_id
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise QuarantineError("undecodable_label", str(error), record=record) from error
            tenant_id = record.tenant_id
            await transaction.as_tenant(tenant_id)
            observed = await histories_of(transaction.connection, tenant_id, event_id)
            labels = (await labels_of(transaction.connection, tenant_id, [event_id])).get(event_id)
            if observed is None or not labels:
                put.append(False)
                continue
            put.append(await self._features.label(tenant_id, observed, known_of(labels)))
        transaction.after_commit(lambda: self._metrics.put(put))
