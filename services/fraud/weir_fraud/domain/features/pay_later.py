"""1 if it is paid later."""

from weir_fraud.domain.feature import of_request
from weir_fraud.domain.reason_code import PAYMENT_METHOD

FEATURES = (
    of_request(
        "pay_later",
        unit="1",
        description="1 if it is paid later",
        reason=PAYMENT_METHOD,
        value=lambda payment: payment.context.pay_later,
    ),
)
