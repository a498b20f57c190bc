"""Units in the cart."""

from weir_fraud.domain.feature import of_request
from weir_fraud.domain.reason_code import CART

FEATURES = (
    of_request(
        "unit_count",
        unit="units",
        description="Units in the cart",
        reason=CART,
        value=lambda payment: payment.context.units,
    ),
)
