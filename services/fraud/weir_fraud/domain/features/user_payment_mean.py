"""Mean amount of the user's payments in this currency, this one included."""

from weir_fraud.domain.aggregate import DAY, MONTH, WEEK, Aggregate, Entity, Measure, Which
from weir_fraud.domain.feature import windowed
from weir_fraud.domain.reason_code import USER_SPEND

FEATURES = windowed(
    "user_payment_mean",
    unit="the payment's currency",
    description="Mean amount of the user's payments in this currency, this one included",
    reason=USER_SPEND,
    windows=(DAY, WEEK, MONTH),
    aggregate=lambda window: Aggregate(Entity.USER, Measure.MEAN, window, Which.SAME_CURRENCY),
)
