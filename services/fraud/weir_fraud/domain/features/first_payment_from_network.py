"""Whether the user pays from this network address for the first time."""

from weir_fraud.domain.aggregate import Column
from weir_fraud.domain.feature import first_of_user
from weir_fraud.domain.reason_code import NEW_NETWORK

FEATURES = (
    first_of_user(
        "first_payment_from_network",
        description="1 if the user did not pay from this network address before, over 30d; unknown for a user without a history",
        reason=NEW_NETWORK,
        column=Column.NETWORK,
    ),
)
