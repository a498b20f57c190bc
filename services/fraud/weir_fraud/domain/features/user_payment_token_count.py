"""Payment methods that the user used, this one included."""

from weir_fraud.domain.aggregate import DAY, MONTH, Aggregate, Column, Entity, Measure
from weir_fraud.domain.feature import windowed
from weir_fraud.domain.reason_code import MULTIPLE_PAYMENT_TOKENS

FEATURES = windowed(
    "user_payment_token_count",
    unit="payment methods",
    description="Payment methods that the user used, this one included",
    reason=MULTIPLE_PAYMENT_TOKENS,
    windows=(
        DAY,
        MONTH,
    ),
    aggregate=lambda window: Aggregate(Entity.USER, Measure.DISTINCT, window, column=Column.PAYMENT_TOKEN),
    monotone=1,
)
