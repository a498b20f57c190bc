"""Declined payments from the device, this one included."""

from weir_fraud.domain.aggregate import DAY, HOUR, Aggregate, Entity, Measure, Which
from weir_fraud.domain.feature import windowed
from weir_fraud.domain.reason_code import DEVICE_DECLINES

FEATURES = windowed(
    "device_decline_count",
    unit="payments",
    description="Declined payments from the device, this one included",
    reason=DEVICE_DECLINES,
    windows=(HOUR, DAY),
    aggregate=lambda window: Aggregate(Entity.DEVICE, Measure.COUNT, window, Which.DECLINED),
    monotone=1,
)
