"""Users who paid from the network address, this one included."""

from weir_fraud.domain.aggregate import DAY, Aggregate, Column, Entity, Measure
from weir_fraud.domain.feature import windowed
from weir_fraud.domain.reason_code import NETWORK_SHARED

FEATURES = windowed(
    "network_user_count",
    unit="users",
    description="Users who paid from the network address, this one included",
    reason=NETWORK_SHARED,
    windows=(DAY,),
    aggregate=lambda window: Aggregate(Entity.NETWORK, Measure.DISTINCT, window, column=Column.USER),
    monotone=1,
)
