"""A decision as a record on `weir.fraud.decisions.v1`; README.md describes it for its readers."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec
from weir_common.ids import EventId, TenantId
from weir_common.kafka.partitioner import event_key, partition_of
from weir_common.kafka.records import OutgoingRecord, event_headers
from weir_common.kafka.topics import DECISIONS

from weir_fraud.domain.decision import Decision
from weir_fraud.domain.model import Thresholds


class DecisionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The value, as JSON; money is a decimal in a string."""

    event_id: EventId
    tenant_id: TenantId
    transaction_id: str
    event_subtype: str
    user_id: str | None
    anonymous_id: str | None
    amount: Decimal | None
    currency: str | None
    score: float
    outcome: str
    reason_codes: tuple[str, ...]
    explanation: str
    model_version: str
    decided_at: datetime
    event_timestamp: datetime
    source: str
    model_outcome: str
    policy_version: int
    policy_rule: str | None
    policy_errors: tuple[str, ...]
    thresholds: Thresholds
    degraded: tuple[str, ...]
    declines_halted: bool


def decision_record(decision: Decision, traceparent: str | None) -> OutgoingRecord:
    """On the partition of the payment's own events, so that one person's decisions keep their order."""
    value = DecisionRecord(
        event_id=decision.event_id,
        tenant_id=decision.tenant_id,
        transaction_id=decision.transaction_id,
        event_subtype=decision.kind.value,
        user_id=decision.user_id,
        anonymous_id=decision.anonymous_id,
        amount=decision.amount,
        currency=decision.currency,
        score=decision.score,
        outcome=decision.outcome.value,
        reason_codes=decision.reason_codes,
        explanation="complete" if decision.is_explained else "deferred",
        model_version=decision.model_version,
        decided_at=decision.decided_at,
        event_timestamp=decision.event_timestamp,
        source=decision.source.value,
        model_outcome=decision.model_outcome.value,
        policy_version=decision.policy_version,
        policy_rule=decision.policy_rule,
        policy_errors=decision.policy_errors,
        thresholds=decision.thresholds,
        degraded=decision.degraded,
        declines_halted=decision.declines_halted,
    )
    return OutgoingRecord(
        topic=DECISIONS,
        key=event_key(decision.tenant_id, decision.subject),
        value=msgspec.json.encode(value),
        partition=partition_of(decision.tenant_id, decision.subject),
        headers=event_headers(decision.tenant_id, decision.event_id, traceparent=traceparent),
    )
