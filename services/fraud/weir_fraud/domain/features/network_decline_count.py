"""Declined payments from the network address, this one included."""

from weir_fraud.domain.aggregate import HOUR, Aggregate, Entity, Measure, Which
from weir_fraud.domain.feature import windowed
from weir_fraud.domain.reason_code import NETWORK_DECLINES

FEATURES = windowed(
    "network_decline_count",
    unit="payments",
    description="Declined payments from the network address, this one included",
    reason=NETWORK_DECLINES,
    windows=(HOUR,),
    aggregate=lambda window: Aggregate(Entity.NETWORK, Measure.COUNT, window, Which.DECLINED),
    monotone=1,
)
