"""1 if the account is a trial."""

from weir_fraud.domain.feature import of_request
from weir_fraud.domain.reason_code import NEW_ACCOUNT

FEATURES = (
    of_request(
        "trial_account",
        unit="1",
        description="1 if the account is a trial",
        reason=NEW_ACCOUNT,
        value=lambda payment: payment.context.trial,
        monotone=1,
    ),
)
