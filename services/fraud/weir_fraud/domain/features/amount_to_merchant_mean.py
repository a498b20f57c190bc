"""The amount against what is paid to the merchant otherwise."""

from collections.abc import Sequence

from weir_fraud.domain.aggregate import MONTH, Aggregate, Entity, Measure, Which
from weir_fraud.domain.feature import NAN, Feature
from weir_fraud.domain.payment import Payment
from weir_fraud.domain.reason_code import AMOUNT_ABOVE_MERCHANT


def _compute(payment: Payment, aggregates: Sequence[float]) -> float:
    (mean,) = aggregates
    return float(payment.amount) / mean if payment.amount is not None and mean > 0 else NAN


FEATURES = (
    Feature(
        "amount_to_merchant_mean_30d",
        "1",
        "Amount, divided by the mean of the earlier payments to the merchant in the same currency, over 30d",
        AMOUNT_ABOVE_MERCHANT,
        _compute,
        (Aggregate(Entity.MERCHANT, Measure.MEAN, MONTH, Which.SAME_CURRENCY, own=False),),
    ),
)
