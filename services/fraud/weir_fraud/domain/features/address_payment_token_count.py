"""Payment methods that paid deliveries to the address, this one included."""

from weir_fraud.domain.aggregate import DAY, MONTH, Aggregate, Column, Entity, Measure
from weir_fraud.domain.feature import windowed
from weir_fraud.domain.reason_code import ADDRESS_PAYMENT_TOKENS

FEATURES = windowed(
    "address_payment_token_count",
    unit="payment methods",
    description="Payment methods that paid deliveries to the address, this one included",
    reason=ADDRESS_PAYMENT_TOKENS,
    windows=(DAY, MONTH),
    aggregate=lambda window: Aggregate(Entity.ADDRESS, Measure.DISTINCT, window, column=Column.PAYMENT_TOKEN),
    monotone=1,
)
