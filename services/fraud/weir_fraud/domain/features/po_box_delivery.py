"""1 if the goods go to a post office box."""

from weir_fraud.domain.feature import of_request
from weir_fraud.domain.reason_code import DELIVERY

FEATURES = (
    of_request(
        "po_box_delivery",
        unit="1",
        description="1 if the goods go to a post office box",
        reason=DELIVERY,
        value=lambda payment: payment.context.po_box,
        monotone=1,
    ),
)
