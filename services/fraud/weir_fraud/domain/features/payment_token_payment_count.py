"""Payments by the payment method, this one included."""

from weir_fraud.domain.aggregate import DAY, HOUR, Aggregate, Entity, Measure
from weir_fraud.domain.feature import windowed
from weir_fraud.domain.reason_code import PAYMENT_TOKEN_VELOCITY

FEATURES = windowed(
    "payment_token_payment_count",
    unit="payments",
    description="Payments by the payment method, this one included",
    reason=PAYMENT_TOKEN_VELOCITY,
    windows=(HOUR, DAY),
    aggregate=lambda window: Aggregate(Entity.PAYMENT_TOKEN, Measure.COUNT, window),
    monotone=1,
)
