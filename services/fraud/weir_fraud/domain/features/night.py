"""1 from midnight until 6 in the morning, UTC."""

from weir_fraud.domain.feature import of_request
from weir_fraud.domain.reason_code import UNUSUAL_HOUR

FEATURES = (
    of_request(
        "night",
        unit="1",
        description="1 from midnight until 6 in the morning, UTC",
        reason=UNUSUAL_HOUR,
        value=lambda payment: payment.at.hour < 6,
    ),
)
