"""Clicks, scrolls and entries on the page of the payment."""

from weir_fraud.domain.feature import of_request
from weir_fraud.domain.reason_code import SESSION

FEATURES = (
    of_request(
        "interaction_count",
        unit="interactions",
        description="Clicks, scrolls and entries on the page of the payment",
        reason=SESSION,
        value=lambda payment: payment.context.interactions,
    ),
)
