"""Merchants that the user paid, this one included."""

from weir_fraud.domain.aggregate import DAY, HOUR, Aggregate, Column, Entity, Measure
from weir_fraud.domain.feature import windowed
from weir_fraud.domain.reason_code import MULTIPLE_MERCHANTS

FEATURES = windowed(
    "user_merchant_count",
    unit="merchants",
    description="Merchants that the user paid, this one included",
    reason=MULTIPLE_MERCHANTS,
    windows=(HOUR, DAY),
    aggregate=lambda window: Aggregate(Entity.USER, Measure.DISTINCT, window, column=Column.MERCHANT),
    monotone=1,
)
