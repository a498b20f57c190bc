"""1 if the place is only derived from the network address."""

from weir_fraud.domain.feature import of_request
from weir_fraud.domain.reason_code import LOCATION_CHANGE

FEATURES = (
    of_request(
        "place_by_network",
        unit="1",
        description="1 if the place is only derived from the network address",
        reason=LOCATION_CHANGE,
        value=lambda payment: payment.context.place_by_network,
    ),
)
