"""Whether the user spends more a payment than usual, this one included."""

from collections.abc import Sequence

from weir_fraud.domain.aggregate import DAY, MONTH, WEEK, Aggregate, Entity, Measure, Which
from weir_fraud.domain.feature import NAN, Feature
from weir_fraud.domain.payment import Payment
from weir_fraud.domain.reason_code import USER_SPEND


def _compute(_: Payment, aggregates: Sequence[float]) -> float:
    recent, usual = aggregates
    return recent / usual if usual > 0 else NAN


FEATURES = tuple(
    Feature(
        f"user_spend_growth_{window.label}",
        "1",
        f"Mean amount of the user's payments in this currency over {window.label}, divided by that over 30d",
        USER_SPEND,
        _compute,
        (
            Aggregate(Entity.USER, Measure.MEAN, window, Which.SAME_CURRENCY),
            Aggregate(Entity.USER, Measure.MEAN, MONTH, Which.SAME_CURRENCY),
        ),
    )
    for window in (DAY, WEEK)
)
