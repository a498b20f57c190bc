"""Scores every payment on the log that has no decision yet, a micro-batch at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import msgspec
from weir_common.errors import QuarantineError
from weir_common.ids import TenantId
from weir_common.kafka.consumer import Transaction
from weir_common.kafka.records import Record

from weir_fraud.adapters.postgres_decisions import decision_record, find_decisions, insert_decisions
from weir_fraud.domain.payment import PAYMENT_SUBTYPES, NotAPaymentError, Payment, PaymentEvent, payment_of
from weir_fraud.score_transaction import ScorePayments

_decoder = msgspec.json.Decoder(PaymentEvent)


class ScoreStream:
    """See ``BatchHandler``. Decisions, their announcements and the offsets commit together."""

    def __init__(self, score: ScorePayments) -> None:
        self._score = score

    async def apply(self, batch: Sequence[Record], transaction: Transaction) -> None:
        """Headers tell payments apart, so that nothing else is decoded."""
        by_tenant: dict[TenantId, list[tuple[Payment, Record]]] = defaultdict(list)
        for record in batch:
            if record.event_type == "transaction" and record.event_subtype in PAYMENT_SUBTYPES:
                payment = _payment(record)
                if payment is not None:
                    by_tenant[record.tenant_id].append((payment, record))
        for tenant_id, payments in by_tenant.items():
            await transaction.as_tenant(tenant_id)
            known = await find_decisions(
                transaction.connection, tenant_id, [payment.event_id for payment, _ in payments]
            )
            fresh = [(payment, record) for payment, record in payments if payment.event_id not in known]
            if not fresh:
                continue
            scored = await self._score([payment for payment, _ in fresh])
            rows = [(payment, decision) for (payment, _), (decision, _) in zip(fresh, scored, strict=True)]
            inserted = await insert_decisions(transaction.connection, rows)
            for (payment, record), (decision, _) in zip(fresh, scored, strict=True):
                if payment.event_id in inserted:
                    transaction.outbox(decision_record(payment, decision, transaction.traceparent_of(record)))


def _payment(record: Record) -> Payment | None:
    """None for a payment event without an amount: there is nothing to decide, and ingest accepts such events."""
    try:
        return payment_of(_decoder.decode(record.value))
    except NotAPaymentError:
        return None
    except msgspec.DecodeError as error:
        raise QuarantineError("undecodable_payment", str(error), record=record) from error
