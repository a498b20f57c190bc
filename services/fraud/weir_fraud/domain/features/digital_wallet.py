"""1 if a digital wallet pays."""

from weir_fraud.domain.feature import of_request
from weir_fraud.domain.reason_code import PAYMENT_METHOD

FEATURES = (
    of_request(
        "digital_wallet",
        unit="1",
        description="1 if a digital wallet pays",
        reason=PAYMENT_METHOD,
        value=lambda payment: payment.context.wallet,
    ),
)
