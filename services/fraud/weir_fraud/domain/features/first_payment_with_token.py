"""Whether the user pays by this method for the first time."""

from weir_fraud.domain.aggregate import Column
from weir_fraud.domain.feature import first_of_user
from weir_fraud.domain.reason_code import NEW_PAYMENT_TOKEN

FEATURES = (
    first_of_user(
        "first_payment_with_token",
        description="1 if the user did not pay by this method before, over 30d; unknown for a user without a history",
        reason=NEW_PAYMENT_TOKEN,
        column=Column.PAYMENT_TOKEN,
    ),
)
