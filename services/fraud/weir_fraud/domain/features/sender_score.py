"""The sender's own fraud score."""

from weir_fraud.domain.feature import of_request
from weir_fraud.domain.reason_code import SENDER_SCORE

FEATURES = (
    of_request(
        "sender_score",
        unit="1",
        description="The sender's own fraud score",
        reason=SENDER_SCORE,
        value=lambda payment: payment.context.sender_score,
        monotone=1,
    ),
)
