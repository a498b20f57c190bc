"""Devices that the user paid from, this one included."""

from weir_fraud.domain.aggregate import DAY, MONTH, Aggregate, Column, Entity, Measure
from weir_fraud.domain.feature import windowed
from weir_fraud.domain.reason_code import MULTIPLE_DEVICES

FEATURES = windowed(
    "user_device_count",
    unit="devices",
    description="Devices that the user paid from, this one included",
    reason=MULTIPLE_DEVICES,
    windows=(
        DAY,
        MONTH,
    ),
    aggregate=lambda window: Aggregate(Entity.USER, Measure.DISTINCT, window, column=Column.DEVICE),
    monotone=1,
)
