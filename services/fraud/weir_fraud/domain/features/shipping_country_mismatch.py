"""Whether the goods go to another country than that of the billing address."""

from collections.abc import Sequence

from weir_fraud.domain.feature import NAN, Feature
from weir_fraud.domain.payment import Payment
from weir_fraud.domain.reason_code import SHIPPING_COUNTRY_MISMATCH


def _compute(payment: Payment, _: Sequence[float]) -> float:
    if payment.shipping_country is None or payment.billing_country is None:
        return NAN
    return float(payment.shipping_country != payment.billing_country)


FEATURES = (
    Feature(
        "shipping_country_mismatch",
        "1",
        "1 if the goods go to another country than that of the billing address",
        SHIPPING_COUNTRY_MISMATCH,
        _compute,
        monotone=1,
    ),
)
