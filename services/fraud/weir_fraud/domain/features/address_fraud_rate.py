"""Share of fraud among the payments to the address that are old enough for their labels to be known."""

from weir_fraud.domain.aggregate import LABEL_DELAY_DAYS, MONTH, Entity
from weir_fraud.domain.feature import fraud_rate
from weir_fraud.domain.reason_code import ADDRESS_FRAUD

FEATURES = fraud_rate(
    "address_fraud_rate",
    description="Share of fraud among the payments to the address that are old enough for their labels to be known",
    reason=ADDRESS_FRAUD,
    entity=Entity.ADDRESS,
    windows=tuple(window.delayed(LABEL_DELAY_DAYS) for window in (MONTH,)),
)
