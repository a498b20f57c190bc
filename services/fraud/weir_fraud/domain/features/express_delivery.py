"""1 if the goods go faster than by ground."""

from weir_fraud.domain.feature import of_request
from weir_fraud.domain.reason_code import DELIVERY

FEATURES = (
    of_request(
        "express_delivery",
        unit="1",
        description="1 if the goods go faster than by ground",
        reason=DELIVERY,
        value=lambda payment: payment.context.express,
        monotone=1,
    ),
)
