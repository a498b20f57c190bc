"""Whether the user pays this merchant for the first time."""

from weir_fraud.domain.aggregate import Column
from weir_fraud.domain.feature import first_of_user
from weir_fraud.domain.reason_code import NEW_MERCHANT

FEATURES = (
    first_of_user(
        "first_payment_to_merchant",
        description="1 if the user did not pay this merchant before, over 30d; unknown for a user without a history",
        reason=NEW_MERCHANT,
        column=Column.MERCHANT,
    ),
)
