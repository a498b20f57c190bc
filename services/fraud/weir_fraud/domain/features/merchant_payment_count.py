"""Payments to the merchant that are old enough for their labels to be known."""

from weir_fraud.domain.aggregate import DAY, LABEL_DELAY_DAYS, MONTH, WEEK, Aggregate, Entity, Measure
from weir_fraud.domain.feature import windowed
from weir_fraud.domain.reason_code import MERCHANT_RISK

FEATURES = windowed(
    "merchant_payment_count",
    unit="payments",
    description="Payments to the merchant that are old enough for their labels to be known",
    reason=MERCHANT_RISK,
    windows=(DAY.delayed(LABEL_DELAY_DAYS), WEEK.delayed(LABEL_DELAY_DAYS), MONTH.delayed(LABEL_DELAY_DAYS)),
    aggregate=lambda window: Aggregate(Entity.MERCHANT, Measure.COUNT, window, own=False),
)
