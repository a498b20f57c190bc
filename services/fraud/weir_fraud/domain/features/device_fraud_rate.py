"""Share of fraud among the device's payments that are old enough for their labels to be known."""

from weir_fraud.domain.aggregate import LABEL_DELAY_DAYS, MONTH, Entity
from weir_fraud.domain.feature import fraud_rate
from weir_fraud.domain.reason_code import DEVICE_FRAUD

FEATURES = fraud_rate(
    "device_fraud_rate",
    description="Share of fraud among the device's payments that are old enough for their labels to be known",
    reason=DEVICE_FRAUD,
    entity=Entity.DEVICE,
    windows=tuple(window.delayed(LABEL_DELAY_DAYS) for window in (MONTH,)),
)
