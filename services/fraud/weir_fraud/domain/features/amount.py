"""The amount of the payment."""

from collections.abc import Sequence

from weir_fraud.domain.feature import NAN, Feature
from weir_fraud.domain.payment import Payment
from weir_fraud.domain.reason_code import AMOUNT


def _compute(payment: Payment, _: Sequence[float]) -> float:
    return NAN if payment.amount is None else float(payment.amount)


FEATURES = (Feature("amount", "the payment's currency", "Amount to be paid", AMOUNT, _compute),)
