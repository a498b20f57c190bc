"""Devices that the payment method was used on, this one included."""

from weir_fraud.domain.aggregate import DAY, Aggregate, Column, Entity, Measure
from weir_fraud.domain.feature import windowed
from weir_fraud.domain.reason_code import PAYMENT_TOKEN_SHARED

FEATURES = windowed(
    "payment_token_device_count",
    unit="devices",
    description="Devices that the payment method was used on, this one included",
    reason=PAYMENT_TOKEN_SHARED,
    windows=(DAY,),
    aggregate=lambda window: Aggregate(Entity.PAYMENT_TOKEN, Measure.DISTINCT, window, column=Column.DEVICE),
    monotone=1,
)
