"""Declined payments by the payment method, this one included."""

from weir_fraud.domain.aggregate import DAY, Aggregate, Entity, Measure, Which
from weir_fraud.domain.feature import windowed
from weir_fraud.domain.reason_code import PAYMENT_TOKEN_DECLINES

FEATURES = windowed(
    "payment_token_decline_count",
    unit="payments",
    description="Declined payments by the payment method, this one included",
    reason=PAYMENT_TOKEN_DECLINES,
    windows=(DAY,),
    aggregate=lambda window: Aggregate(Entity.PAYMENT_TOKEN, Measure.COUNT, window, Which.DECLINED),
    monotone=1,
)
