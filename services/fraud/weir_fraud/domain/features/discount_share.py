"""How much of the price is discounts."""

from weir_fraud.domain.feature import of_request
from weir_fraud.domain.payment import Payment
from weir_fraud.domain.reason_code import DISCOUNTS


def _share(payment: Payment) -> float | None:
    subtotal, discounts = payment.context.subtotal, payment.context.discounts
    return float(discounts / subtotal) if subtotal and discounts is not None else None


FEATURES = (
    of_request(
        "discount_share",
        unit="1",
        description="Discounts, divided by the subtotal of the cart",
        reason=DISCOUNTS,
        value=_share,
    ),
)
