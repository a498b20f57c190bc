"""Payments from the network address, this one included."""

from weir_fraud.domain.aggregate import HOUR, TEN_MINUTES, Aggregate, Entity, Measure
from weir_fraud.domain.feature import windowed
from weir_fraud.domain.reason_code import NETWORK_VELOCITY

FEATURES = windowed(
    "network_payment_count",
    unit="payments",
    description="Payments from the network address, this one included",
    reason=NETWORK_VELOCITY,
    windows=(TEN_MINUTES, HOUR),
    aggregate=lambda window: Aggregate(Entity.NETWORK, Measure.COUNT, window),
    monotone=1,
)
