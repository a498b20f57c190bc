"""The amount against what the user pays otherwise: in standard deviations from the mean."""

from collections.abc import Sequence

from weir_fraud.domain.aggregate import MONTH, Aggregate, Entity, Measure, Which
from weir_fraud.domain.feature import NAN, Feature
from weir_fraud.domain.payment import Payment
from weir_fraud.domain.reason_code import AMOUNT_ABOVE_HISTORY


def _compute(payment: Payment, aggregates: Sequence[float]) -> float:
    mean, deviation = aggregates
    # Constant histories have no scale of their own (a subscription): unknown, rather than divided by an invented one.
    return (float(payment.amount) - mean) / deviation if payment.amount is not None and deviation > 0 else NAN


FEATURES = (
    Feature(
        "amount_user_zscore_30d",
        "1",
        "Standard deviations of the amount from the mean of the user's earlier payments in the same currency, over 30d",
        AMOUNT_ABOVE_HISTORY,
        _compute,
        (
            Aggregate(Entity.USER, Measure.MEAN, MONTH, Which.SAME_CURRENCY, own=False),
            Aggregate(Entity.USER, Measure.DEVIATION, MONTH, Which.SAME_CURRENCY, own=False),
        ),
    ),
)
