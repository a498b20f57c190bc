"""1 if the account is verified."""

from weir_fraud.domain.feature import of_request
from weir_fraud.domain.reason_code import NEW_ACCOUNT

FEATURES = (
    of_request(
        "verified_account",
        unit="1",
        description="1 if the account is verified",
        reason=NEW_ACCOUNT,
        value=lambda payment: payment.context.verified,
        monotone=-1,
    ),
)
