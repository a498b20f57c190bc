"""The amount against what the user pays otherwise: ratio to the mean."""

from collections.abc import Sequence

from weir_fraud.domain.aggregate import MONTH, WEEK, Aggregate, Entity, Measure, Which
from weir_fraud.domain.feature import NAN, Feature
from weir_fraud.domain.payment import Payment
from weir_fraud.domain.reason_code import AMOUNT_ABOVE_HISTORY


def _compute(payment: Payment, aggregates: Sequence[float]) -> float:
    (mean,) = aggregates
    # A mean of nan (no history) or of 0 (only free orders) gives no ratio.
    return float(payment.amount) / mean if payment.amount is not None and mean > 0 else NAN


FEATURES = tuple(
    Feature(
        f"amount_to_user_mean_{window.label}",
        "1",
        f"Amount, divided by the mean of the user's earlier payments in the same currency, over {window.label}",
        AMOUNT_ABOVE_HISTORY,
        _compute,
        (Aggregate(Entity.USER, Measure.MEAN, window, Which.SAME_CURRENCY, own=False),),
    )
    for window in (WEEK, MONTH)
)
