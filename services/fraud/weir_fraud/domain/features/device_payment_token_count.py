"""Payment methods used from the device, this one included."""

from weir_fraud.domain.aggregate import DAY, HOUR, Aggregate, Column, Entity, Measure
from weir_fraud.domain.feature import windowed
from weir_fraud.domain.reason_code import DEVICE_PAYMENT_TOKENS

FEATURES = windowed(
    "device_payment_token_count",
    unit="payment methods",
    description="Payment methods used from the device, this one included",
    reason=DEVICE_PAYMENT_TOKENS,
    windows=(
        HOUR,
        DAY,
    ),
    aggregate=lambda window: Aggregate(Entity.DEVICE, Measure.DISTINCT, window, column=Column.PAYMENT_TOKEN),
    monotone=1,
)
