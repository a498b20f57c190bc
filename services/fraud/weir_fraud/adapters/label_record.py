"""A label as a record on `weir.fraud.labels.v1`; docs/labels-and-cases.md describes it for its readers."""

from __future__ import annotations

from datetime import datetime

import msgspec
from weir_common.ids import EventId, SubjectId, TenantId
from weir_common.kafka.partitioner import event_key, partition_of
from weir_common.kafka.records import OutgoingRecord, event_headers
from weir_common.kafka.topics import LABELS

from weir_fraud.domain.label import Label


class LabelRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The value, as JSON."""

    tenant_id: TenantId
    event_id: EventId
    label: str
    is_fraud: bool
    occurred_at: datetime
    recorded_at: datetime


def label_record(label: Label, subject: SubjectId | None, traceparent: str | None) -> OutgoingRecord:
    """On the partition of the payment's decision; of one without a decision, where an event about nobody is."""
    value = LabelRecord(
        tenant_id=label.tenant_id,
        event_id=label.event_id,
        label=label.kind.value,
        is_fraud=label.kind.is_fraud,
        occurred_at=label.occurred_at,
        recorded_at=label.recorded_at,
    )
    whom = SubjectId(label.event_id) if subject is None else subject
    return OutgoingRecord(
        topic=LABELS,
        key=event_key(label.tenant_id, whom),
        value=msgspec.json.encode(value),
        partition=partition_of(label.tenant_id, whom),
        headers=event_headers(label.tenant_id, label.event_id, traceparent=traceparent),
    )
