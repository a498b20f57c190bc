"""Declined payments of the user, this one included."""

from weir_fraud.domain.aggregate import DAY, HOUR, Aggregate, Entity, Measure, Which
from weir_fraud.domain.feature import windowed
from weir_fraud.domain.reason_code import USER_DECLINES

FEATURES = windowed(
    "user_decline_count",
    unit="payments",
    description="Declined payments of the user, this one included",
    reason=USER_DECLINES,
    windows=(HOUR, DAY),
    aggregate=lambda window: Aggregate(Entity.USER, Measure.COUNT, window, Which.DECLINED),
    monotone=1,
)
