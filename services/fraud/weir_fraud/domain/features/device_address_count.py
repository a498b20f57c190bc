"""Addresses that goods were sent to from the device, this one included."""

from weir_fraud.domain.aggregate import DAY, Aggregate, Column, Entity, Measure
from weir_fraud.domain.feature import windowed
from weir_fraud.domain.reason_code import DEVICE_ADDRESSES

FEATURES = windowed(
    "device_address_count",
    unit="addresses",
    description="Addresses that goods were sent to from the device, this one included",
    reason=DEVICE_ADDRESSES,
    windows=(DAY,),
    aggregate=lambda window: Aggregate(Entity.DEVICE, Measure.DISTINCT, window, column=Column.ADDRESS),
    monotone=1,
)
