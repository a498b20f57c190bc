"""Users who paid from the device, this one included."""

from weir_fraud.domain.aggregate import DAY, Aggregate, Column, Entity, Measure
from weir_fraud.domain.feature import windowed
from weir_fraud.domain.reason_code import DEVICE_SHARED

FEATURES = windowed(
    "device_user_count",
    unit="users",
    description="Users who paid from the device, this one included",
    reason=DEVICE_SHARED,
    windows=(DAY,),
    aggregate=lambda window: Aggregate(Entity.DEVICE, Measure.DISTINCT, window, column=Column.USER),
    monotone=1,
)
