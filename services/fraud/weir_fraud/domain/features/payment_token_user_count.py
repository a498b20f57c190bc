"""Users of the payment method, this one included."""

from weir_fraud.domain.aggregate import MONTH, Aggregate, Column, Entity, Measure
from weir_fraud.domain.feature import windowed
from weir_fraud.domain.reason_code import PAYMENT_TOKEN_SHARED

FEATURES = windowed(
    "payment_token_user_count",
    unit="users",
    description="Users of the payment method, this one included",
    reason=PAYMENT_TOKEN_SHARED,
    windows=(MONTH,),
    aggregate=lambda window: Aggregate(Entity.PAYMENT_TOKEN, Measure.DISTINCT, window, column=Column.USER),
    monotone=1,
)
