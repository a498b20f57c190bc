"""Payments for deliveries to the address, this one included."""

from weir_fraud.domain.aggregate import DAY, Aggregate, Entity, Measure
from weir_fraud.domain.feature import windowed
from weir_fraud.domain.reason_code import ADDRESS_VELOCITY

FEATURES = windowed(
    "address_payment_count",
    unit="payments",
    description="Payments for deliveries to the address, this one included",
    reason=ADDRESS_VELOCITY,
    windows=(DAY,),
    aggregate=lambda window: Aggregate(Entity.ADDRESS, Measure.COUNT, window),
    monotone=1,
)
