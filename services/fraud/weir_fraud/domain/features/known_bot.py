"""1 if the client is a known bot."""

from weir_fraud.domain.feature import of_request
from weir_fraud.domain.reason_code import AUTOMATED_CLIENT

FEATURES = (
    of_request(
        "known_bot",
        unit="1",
        description="1 if the client is a known bot",
        reason=AUTOMATED_CLIENT,
        value=lambda payment: payment.context.bot,
        monotone=1,
    ),
)
