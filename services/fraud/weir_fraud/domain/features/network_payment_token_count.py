"""Payment methods used from the network address, this one included."""

from weir_fraud.domain.aggregate import HOUR, Aggregate, Column, Entity, Measure
from weir_fraud.domain.feature import windowed
from weir_fraud.domain.reason_code import NETWORK_PAYMENT_TOKENS

FEATURES = windowed(
    "network_payment_token_count",
    unit="payment methods",
    description="Payment methods used from the network address, this one included",
    reason=NETWORK_PAYMENT_TOKENS,
    windows=(HOUR,),
    aggregate=lambda window: Aggregate(Entity.NETWORK, Measure.DISTINCT, window, column=Column.PAYMENT_TOKEN),
    monotone=1,
)
