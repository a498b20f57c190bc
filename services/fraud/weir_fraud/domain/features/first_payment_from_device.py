"""Whether the user pays from this device for the first time."""

from weir_fraud.domain.aggregate import Column
from weir_fraud.domain.feature import first_of_user
from weir_fraud.domain.reason_code import NEW_DEVICE

FEATURES = (
    first_of_user(
        "first_payment_from_device",
        description="1 if the user did not pay from this device before, over 30d; unknown for a user without a history",
        reason=NEW_DEVICE,
        column=Column.DEVICE,
    ),
)
