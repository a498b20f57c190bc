"""Lines of the cart."""

from weir_fraud.domain.feature import of_request
from weir_fraud.domain.reason_code import CART

FEATURES = (
    of_request(
        "line_count",
        unit="lines",
        description="Lines of the cart",
        reason=CART,
        value=lambda payment: payment.context.lines,
    ),
)
