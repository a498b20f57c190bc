"""Loyalty points redeemed by the payment."""

from weir_fraud.domain.feature import of_request
from weir_fraud.domain.reason_code import LOYALTY_POINTS

FEATURES = (
    of_request(
        "points_redeemed",
        unit="points",
        description="Loyalty points redeemed by the payment",
        reason=LOYALTY_POINTS,
        value=lambda payment: payment.context.points_redeemed,
    ),
)
