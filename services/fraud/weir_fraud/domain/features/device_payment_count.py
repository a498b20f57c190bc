"""Payments from the device, this one included."""

from weir_fraud.domain.aggregate import DAY, HOUR, TEN_MINUTES, Aggregate, Entity, Measure
from weir_fraud.domain.feature import windowed
from weir_fraud.domain.reason_code import DEVICE_VELOCITY

FEATURES = windowed(
    "device_payment_count",
    unit="payments",
    description="Payments from the device, this one included",
    reason=DEVICE_VELOCITY,
    windows=(TEN_MINUTES, HOUR, DAY),
    aggregate=lambda window: Aggregate(Entity.DEVICE, Measure.COUNT, window),
    monotone=1,
)
