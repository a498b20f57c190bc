"""Payments of the user, this one included."""

from weir_fraud.domain.aggregate import DAY, HOUR, MINUTE, MONTH, WEEK, Aggregate, Entity, Measure
from weir_fraud.domain.feature import windowed
from weir_fraud.domain.reason_code import USER_VELOCITY

FEATURES = windowed(
    "user_payment_count",
    unit="payments",
    description="Payments of the user, this one included",
    reason=USER_VELOCITY,
    windows=(MINUTE, HOUR, DAY, WEEK, MONTH),
    aggregate=lambda window: Aggregate(Entity.USER, Measure.COUNT, window),
    monotone=1,
)
