"""Share of fraud among the payments to the merchant that are old enough for their labels to be known."""

from weir_fraud.domain.aggregate import DAY, FORTNIGHT, LABEL_DELAY_DAYS, MONTH, WEEK, Entity
from weir_fraud.domain.feature import fraud_rate
from weir_fraud.domain.reason_code import MERCHANT_RISK

FEATURES = fraud_rate(
    "merchant_fraud_rate",
    description="Share of fraud among the payments to the merchant that are old enough for their labels to be known",
    reason=MERCHANT_RISK,
    entity=Entity.MERCHANT,
    windows=tuple(window.delayed(LABEL_DELAY_DAYS) for window in (DAY, WEEK, FORTNIGHT, MONTH)),
)
