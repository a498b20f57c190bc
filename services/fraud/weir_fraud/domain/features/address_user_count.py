"""Users who had goods sent to the address, this one included."""

from weir_fraud.domain.aggregate import MONTH, Aggregate, Column, Entity, Measure
from weir_fraud.domain.feature import windowed
from weir_fraud.domain.reason_code import ADDRESS_SHARED

FEATURES = windowed(
    "address_user_count",
    unit="users",
    description="Users who had goods sent to the address, this one included",
    reason=ADDRESS_SHARED,
    windows=(MONTH,),
    aggregate=lambda window: Aggregate(Entity.ADDRESS, Measure.DISTINCT, window, column=Column.USER),
    monotone=1,
)
