"""How long the session was when it came to the payment."""

from weir_fraud.domain.feature import of_request
from weir_fraud.domain.reason_code import SESSION

FEATURES = (
    of_request(
        "session_seconds",
        unit="s",
        description="How long the session was when it came to the payment",
        reason=SESSION,
        value=lambda payment: payment.context.session_seconds,
    ),
)
