"""1 on Saturdays and Sundays, UTC."""

from weir_fraud.domain.feature import of_request
from weir_fraud.domain.reason_code import UNUSUAL_HOUR

FEATURES = (
    of_request(
        "weekend",
        unit="1",
        description="1 on Saturdays and Sundays, UTC",
        reason=UNUSUAL_HOUR,
        value=lambda payment: payment.at.weekday() >= 5,
    ),
)
