"""The largest of the user's recent payments against what the user pays on average: somebody else may have the card since."""

from collections.abc import Sequence

from weir_fraud.domain.aggregate import FORTNIGHT, MONTH, WEEK, Aggregate, Entity, Measure, Which
from weir_fraud.domain.feature import NAN, Feature
from weir_fraud.domain.payment import Payment
from weir_fraud.domain.reason_code import AMOUNT_ABOVE_HISTORY


def _compute(_: Payment, aggregates: Sequence[float]) -> float:
    largest, mean = aggregates
    return largest / mean if mean > 0 else NAN


FEATURES = tuple(
    Feature(
        f"user_max_to_mean_{window.label}",
        "1",
        f"Largest of the user's earlier payments over {window.label}, divided by their mean over 30d, in the same currency",
        AMOUNT_ABOVE_HISTORY,
        _compute,
        (
            Aggregate(Entity.USER, Measure.MAX, window, Which.SAME_CURRENCY, own=False),
            Aggregate(Entity.USER, Measure.MEAN, MONTH, Which.SAME_CURRENCY, own=False),
        ),
    )
    for window in (WEEK, FORTNIGHT)
)
