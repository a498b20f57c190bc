"""Share of fraud among the payments for the product that are old enough for their labels to be known."""

from weir_fraud.domain.aggregate import LABEL_DELAY_DAYS, MONTH, Entity
from weir_fraud.domain.feature import fraud_rate
from weir_fraud.domain.reason_code import PRODUCT_RISK

FEATURES = fraud_rate(
    "product_fraud_rate",
    description="Share of fraud among the payments for the product that are old enough for their labels to be known",
    reason=PRODUCT_RISK,
    entity=Entity.PRODUCT,
    windows=tuple(window.delayed(LABEL_DELAY_DAYS) for window in (MONTH,)),
)
