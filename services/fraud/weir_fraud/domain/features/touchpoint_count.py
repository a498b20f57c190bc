"""How many steps led the customer to the payment."""

from weir_fraud.domain.feature import of_request
from weir_fraud.domain.reason_code import SESSION

FEATURES = (
    of_request(
        "touchpoint_count",
        unit="steps",
        description="How many steps led the customer to the payment",
        reason=SESSION,
        value=lambda payment: payment.context.touchpoints,
    ),
)
