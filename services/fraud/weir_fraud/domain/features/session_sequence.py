"""How many events the session had."""

from weir_fraud.domain.feature import of_request
from weir_fraud.domain.reason_code import SESSION

FEATURES = (
    of_request(
        "session_sequence",
        unit="events",
        description="How many events the session had",
        reason=SESSION,
        value=lambda payment: payment.context.session_sequence,
    ),
)
