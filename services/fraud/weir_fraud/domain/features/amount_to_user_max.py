"""The amount against the most that the user paid otherwise."""

from collections.abc import Sequence

from weir_fraud.domain.aggregate import MONTH, Aggregate, Entity, Measure, Which
from weir_fraud.domain.feature import NAN, Feature
from weir_fraud.domain.payment import Payment
from weir_fraud.domain.reason_code import AMOUNT_ABOVE_HISTORY


def _compute(payment: Payment, aggregates: Sequence[float]) -> float:
    (most,) = aggregates
    return float(payment.amount) / most if payment.amount is not None and most > 0 else NAN


FEATURES = (
    Feature(
        "amount_to_user_max_30d",
        "1",
        "Amount, divided by the largest of the user's earlier payments in the same currency, over 30d",
        AMOUNT_ABOVE_HISTORY,
        _compute,
        (Aggregate(Entity.USER, Measure.MAX, MONTH, Which.SAME_CURRENCY, own=False),),
    ),
)
