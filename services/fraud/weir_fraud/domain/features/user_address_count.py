"""Addresses that the user had goods sent to, this one included."""

from weir_fraud.domain.aggregate import DAY, MONTH, Aggregate, Column, Entity, Measure
from weir_fraud.domain.feature import windowed
from weir_fraud.domain.reason_code import MULTIPLE_ADDRESSES

FEATURES = windowed(
    "user_address_count",
    unit="addresses",
    description="Addresses that the user had goods sent to, this one included",
    reason=MULTIPLE_ADDRESSES,
    windows=(DAY, MONTH),
    aggregate=lambda window: Aggregate(Entity.USER, Measure.DISTINCT, window, column=Column.ADDRESS),
    monotone=1,
)
