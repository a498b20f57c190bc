"""Share of fraud among the user's payments that are old enough for their labels to be known."""

from weir_fraud.domain.aggregate import LABEL_DELAY_DAYS, MONTH, Entity
from weir_fraud.domain.feature import fraud_rate
from weir_fraud.domain.reason_code import USER_FRAUD

FEATURES = fraud_rate(
    "user_fraud_rate",
    description="Share of fraud among the user's payments that are old enough for their labels to be known",
    reason=USER_FRAUD,
    entity=Entity.USER,
    windows=tuple(window.delayed(LABEL_DELAY_DAYS) for window in (MONTH,)),
)
