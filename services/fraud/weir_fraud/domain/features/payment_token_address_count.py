"""Addresses that the payment method paid deliveries to, this one included."""

from weir_fraud.domain.aggregate import MONTH, Aggregate, Column, Entity, Measure
from weir_fraud.domain.feature import windowed
from weir_fraud.domain.reason_code import PAYMENT_TOKEN_ADDRESSES

FEATURES = windowed(
    "payment_token_address_count",
    unit="addresses",
    description="Addresses that the payment method paid deliveries to, this one included",
    reason=PAYMENT_TOKEN_ADDRESSES,
    windows=(MONTH,),
    aggregate=lambda window: Aggregate(Entity.PAYMENT_TOKEN, Measure.DISTINCT, window, column=Column.ADDRESS),
    monotone=1,
)
