"""Whether the user pays from this country for the first time."""

from weir_fraud.domain.aggregate import Column
from weir_fraud.domain.feature import first_of_user
from weir_fraud.domain.reason_code import NEW_COUNTRY

FEATURES = (
    first_of_user(
        "first_payment_from_country",
        description="1 if the user did not pay from this country before, over 30d; unknown for a user without a history",
        reason=NEW_COUNTRY,
        column=Column.COUNTRY,
    ),
)
