"""fraud_rate: the share of payments that the fraud service declined, by number and by money."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from weir_common.consent import Purpose

from weir_analytics.domain.facts import PaymentScored
from weir_analytics.domain.metric import Additivity, Count, Example, Metric, Ratio

BY_COUNT = "count"
"""The other values of the dimension are currencies, which are written in capitals."""


def measure(payment: PaymentScored) -> Iterator[Count]:
    yield Count((BY_COUNT,), int(payment.declined), 1)
    if payment.amount is not None and payment.currency is not None:
        yield Count((payment.currency,), payment.amount if payment.declined else 0, payment.amount)


def _payment(declined: bool, amount: str, currency: str) -> PaymentScored:
    return PaymentScored(0, declined, Decimal(amount), currency)


METRIC = Metric(
    name="fraud_rate",
    title="Fraud rate",
    additivity=Additivity.RATIO,
    purpose=Purpose.SECURITY,
    unit="ratio",
    source="weir.fraud.decisions.v1",
    where="every decision on a payment, in the minute of the payment",
    value="declined ÷ scored, under `count`; amount declined ÷ amount scored, under each currency",
    dimensions=("basis",),
    description="How much of what was paid the fraud service declined.",
    follows="Decision mix of card processors. It is not the confirmed fraud rate, which waits for chargebacks.",
    trap="By number and by money differ widely: card testing is many small amounts, account takeover few large ones.",
    fact=PaymentScored,
    measure=measure,
    example=Example(
        facts=(_payment(False, "90", "USD"), _payment(True, "10", "USD"), _payment(False, "5", "EUR")),
        figures={
            (BY_COUNT,): Ratio(Decimal(1), Decimal(3)),
            ("USD",): Ratio(Decimal(10), Decimal(100)),
            ("EUR",): Ratio(Decimal(0), Decimal(5)),
        },
    ),
    series=True,
)
