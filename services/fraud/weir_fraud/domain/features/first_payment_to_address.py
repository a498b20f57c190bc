"""Whether the user has goods sent to this address for the first time."""

from weir_fraud.domain.aggregate import Column
from weir_fraud.domain.feature import first_of_user
from weir_fraud.domain.reason_code import NEW_ADDRESS

FEATURES = (
    first_of_user(
        "first_payment_to_address",
        description="1 if the user did not have goods sent to this address before, over 30d; unknown for a user without a history",
        reason=NEW_ADDRESS,
        column=Column.ADDRESS,
    ),
)
