"""1 if the client's name is suspicious."""

from weir_fraud.domain.feature import of_request
from weir_fraud.domain.reason_code import AUTOMATED_CLIENT

FEATURES = (
    of_request(
        "suspicious_agent",
        unit="1",
        description="1 if the client's name is suspicious",
        reason=AUTOMATED_CLIENT,
        value=lambda payment: payment.context.suspicious_agent,
        monotone=1,
    ),
)
