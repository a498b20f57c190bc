"""Whether the payment is made outside the country of the billing address."""

from collections.abc import Sequence

from weir_fraud.domain.feature import NAN, Feature
from weir_fraud.domain.payment import Payment
from weir_fraud.domain.reason_code import BILLING_COUNTRY_MISMATCH


def _compute(payment: Payment, _: Sequence[float]) -> float:
    if payment.country is None or payment.billing_country is None:
        return NAN
    return float(payment.country != payment.billing_country)


FEATURES = (
    Feature(
        "billing_country_mismatch",
        "1",
        "1 if the payment is made outside the country of the billing address",
        BILLING_COUNTRY_MISMATCH,
        _compute,
        monotone=1,
    ),
)
