"""Puts labels on the payments that they are about, so that what turned out to be fraud counts in the features of later ones.

Every label of the event is read anew: the one that counts may be another than the one that came.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from weir_common.errors import QuarantineError
from weir_common.ids import EventId, TenantId
from weir_common.kafka.consumer import Transaction
from weir_common.kafka.records import Record

from weir_fraud.adapters.label_record import LabelRecord
from weir_fraud.adapters.postgres_imports import observed_in
from weir_fraud.adapters.postgres_labels import labels_of
from weir_fraud.adapters.postgres_waiting_labels import let_wait
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
        """The label of a payment that is not known waits for it (`label_later.py`)."""
        events: dict[TenantId, dict[EventId, None]] = {}
        for record in batch:
            events.setdefault(record.tenant_id, {})[self._event_id(record)] = None
        put: list[bool] = []
        waiting: list[tuple[TenantId, EventId]] = []
        for tenant_id, ids in events.items():
            await transaction.as_tenant(tenant_id)
            observed = await observed_in(transaction.connection, tenant_id, list(ids))
            labels = await labels_of(transaction.connection, tenant_id, list(ids))
            for event_id in ids:
                if event_id not in labels:
                    put.append(False)
                elif event_id not in observed:
                    put.append(False)
                    waiting.append((tenant_id, event_id))
                else:
                    known = known_of(labels[event_id])
                    put.append(await self._features.label(tenant_id, observed[event_id], known))
        if waiting:
            await let_wait(transaction.connection, waiting)
        transaction.after_commit(lambda: self._metrics.put(put))

    def _event_id(self, record: Record) -> EventId:
        try:
            return self._decoder.decode(record.value).event_id
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise QuarantineError("undecodable_label", str(error), record=record) from error
