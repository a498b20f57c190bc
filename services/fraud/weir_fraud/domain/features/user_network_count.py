"""Network addresses that the user paid from, this one included."""

from weir_fraud.domain.aggregate import DAY, Aggregate, Column, Entity, Measure
from weir_fraud.domain.feature import windowed
from weir_fraud.domain.reason_code import MULTIPLE_NETWORKS

FEATURES = windowed(
    "user_network_count",
    unit="network addresses",
    description="Network addresses that the user paid from, this one included",
    reason=MULTIPLE_NETWORKS,
    windows=(DAY,),
    aggregate=lambda window: Aggregate(Entity.USER, Measure.DISTINCT, window, column=Column.NETWORK),
    monotone=1,
)
