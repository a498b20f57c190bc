"""Scores every payment on the log that has no decision yet; decisions, their announcements and the offsets commit together.

What is imported long after it happened is history: it goes into the features, with what became known of it, and is not decided.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

import msgspec
from weir_common.errors import QuarantineError
from weir_common.ids import EventId, TenantId
from weir_common.kafka.consumer import Transaction
from weir_common.kafka.records import EVENT_SUBTYPE_HEADER, EVENT_TYPE_HEADER, Record

from weir_fraud.adapters.decision_record import decision_record
from weir_fraud.adapters.postgres_decisions import decided_before, record_decisions
from weir_fraud.adapters.postgres_imports import record_imports
from weir_fraud.adapters.postgres_labels import labels_of
from weir_fraud.decision_metrics import DecisionMetrics
from weir_fraud.domain.aggregate import RETENTION_SECONDS
from weir_fraud.domain.decision import Source
from weir_fraud.domain.label import Label
from weir_fraud.domain.payment import Payment
from weir_fraud.domain.payment_event import EVENT_TYPE, PAYMENT_SUBTYPES, PaymentEvent, payment_of
from weir_fraud.give_way import GiveWay
from weir_fraud.known_labels import known_labels
from weir_fraud.let_others import let_others, that_wait
from weir_fraud.ports import FeatureStore
from weir_fraud.score_payments import ScorePayments

PAYMENTS_A_STEP: Final = 10
"""After so many payments, half a millisecond, the others of the loop have their turn."""

_TYPE = EVENT_TYPE.encode()
_SUBTYPES = frozenset(subtype.encode() for subtype in PAYMENT_SUBTYPES)
_RETENTION: Final = timedelta(seconds=RETENTION_SECONDS)


class ScoreEvents:
    """The handler of the consumer `score`."""

    def __init__(self, score: ScorePayments, past: FeatureStore, metrics: DecisionMetrics, give_way: GiveWay) -> None:
        """``past`` takes the payments that are only history; it need not answer anything about them."""
        self._give_way = give_way
        self._score = score
        self._past = past
        self._metrics = metrics
        self._decoder = msgspec.json.Decoder(PaymentEvent)

    async def apply(self, batch: Sequence[Record], transaction: Transaction) -> None:
        """The headers tell payments from the other nine tenths of the log, which are not decoded."""
        with that_wait(self._give_way.step):
            await self._apply(batch, transaction)

    async def _apply(self, batch: Sequence[Record], transaction: Transaction) -> None:
        started = time.perf_counter()
        records: dict[tuple[TenantId, EventId], Record] = {}
        payments: dict[tuple[TenantId, EventId], Payment] = {}
        for record in batch:
            if (
                record.headers.get(EVENT_TYPE_HEADER) != _TYPE
                or record.headers.get(EVENT_SUBTYPE_HEADER) not in _SUBTYPES
            ):
                continue
            if len(payments) % PAYMENTS_A_STEP == PAYMENTS_A_STEP - 1:
                await let_others()
            payment = self._payment(record)
            records[(payment.tenant_id, payment.event_id)] = record
            payments[(payment.tenant_id, payment.event_id)] = payment
        history = [payment for payment in payments.values() if payment.is_history]
        if history:
            await self._remember(history, transaction)
            for payment in history:
                del payments[(payment.tenant_id, payment.event_id)]
            self._metrics.remembered(len(history))
        if not payments:
            return
        await let_others()
        known = await decided_before(transaction.connection, list(payments))
        undecided = [payment for event, payment in payments.items() if event not in known]
        await let_others()
        decisions = await self._score(undecided, Source.STREAM)
        await let_others()
        # One that the API made in this very moment stands: ours is then not stored and not announced.
        first = await record_decisions(transaction.connection, decisions) if decisions else set()
        made = [decision for decision in decisions if (decision.tenant_id, decision.event_id) in first]
        for place, decision in enumerate(made):
            if place % PAYMENTS_A_STEP == PAYMENTS_A_STEP - 1:
                await let_others()
            record = records[(decision.tenant_id, decision.event_id)]
            transaction.outbox(decision_record(decision, transaction.traceparent_of(record)))
        seconds = time.perf_counter() - started
        ages = [
            (decision.decided_at - records[(decision.tenant_id, decision.event_id)].accepted_at).total_seconds()
            for decision in made
        ]

        def count() -> None:
            self._metrics.made(made)
            self._metrics.took(seconds, Source.STREAM)
            self._metrics.lagged(ages)

        transaction.after_commit(count)

    async def _remember(self, history: Sequence[Payment], transaction: Transaction) -> None:
        """Into the histories with what is known by now, and where they are for what becomes known later.

        A label that comes in this moment may see none of it, nor be seen: it waits (`label_later.py`).
        """
        labelled_later = [payment for payment in history if payment.received_at - payment.at < _RETENTION]
        if labelled_later:
            await record_imports(transaction.connection, labelled_later)

        async def labels(tenant_id: TenantId, event_ids: Sequence[EventId]) -> Mapping[EventId, Sequence[Label]]:
            await transaction.as_tenant(tenant_id)
            return await labels_of(transaction.connection, tenant_id, event_ids)

        await self._past.replay(history, await known_labels(labels, history))

    def _payment(self, record: Record) -> Payment:
        try:
            return payment_of(self._decoder.decode(record.value), record.tenant_id, record.accepted_at)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
            # Ingest has validated it, so this is a record of another origin or a fault of ours: for people to see.
            raise QuarantineError("undecodable_payment", str(error), record=record) from error
