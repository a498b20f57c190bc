"""How much of what the user tried was declined, this payment included."""

from collections.abc import Sequence

from weir_fraud.domain.aggregate import DAY, Aggregate, Entity, Measure, Which
from weir_fraud.domain.feature import NAN, Feature
from weir_fraud.domain.payment import Payment
from weir_fraud.domain.reason_code import USER_DECLINES


def _compute(_: Payment, aggregates: Sequence[float]) -> float:
    declined, payments = aggregates
    return declined / payments if payments > 0 else NAN


FEATURES = (
    Feature(
        "user_decline_ratio_24h",
        "1",
        "Share of the user's payments that were declined, this one included, over 24h",
        USER_DECLINES,
        _compute,
        (
            Aggregate(Entity.USER, Measure.COUNT, DAY, Which.DECLINED),
            Aggregate(Entity.USER, Measure.COUNT, DAY),
        ),
        monotone=1,
    ),
)
