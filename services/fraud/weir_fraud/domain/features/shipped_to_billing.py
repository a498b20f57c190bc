"""1 if the goods go to the billing address."""

from weir_fraud.domain.feature import of_request
from weir_fraud.domain.reason_code import DELIVERY

FEATURES = (
    of_request(
        "shipped_to_billing",
        unit="1",
        description="1 if the goods go to the billing address",
        reason=DELIVERY,
        value=lambda payment: payment.context.shipped_to_billing,
        monotone=-1,
    ),
)
