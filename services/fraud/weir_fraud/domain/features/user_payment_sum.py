"""Amounts of the user in the payment's currency, this one included."""

from weir_fraud.domain.aggregate import DAY, HOUR, MINUTE, Aggregate, Entity, Measure, Which
from weir_fraud.domain.feature import windowed
from weir_fraud.domain.reason_code import USER_SPEND_VELOCITY

FEATURES = windowed(
    "user_payment_sum",
    unit="the payment's currency",
    description="Amounts of the user in the payment's currency, this one included",
    reason=USER_SPEND_VELOCITY,
    windows=(
        MINUTE,
        HOUR,
        DAY,
    ),
    aggregate=lambda window: Aggregate(Entity.USER, Measure.SUM, window, Which.SAME_CURRENCY),
    monotone=0,
)
