"""Whether the user pays by this method for the first time."""

from collections.abc import Sequence

from weir_fraud.domain.aggregate import MONTH, Aggregate, Column, Entity, Measure
from weir_fraud.domain.feature import NAN, Feature
from weir_fraud.domain.payment import Payment
from weir_fraud.domain.reason_code import NEW_PAYMENT_TOKEN


def _compute(_: Payment, aggregates: Sequence[float]) -> float:
    seen, payments = aggregates
    # Of a user without a history everything is new: that says nothing, and user_history_count says it better.
    return 1.0 - seen if payments > 0 else NAN


FEATURES = (
    Feature(
        "first_payment_with_token",
        "1",
        "1 if the user did not pay by this method before, over 30d; unknown for a user without a history",
        NEW_PAYMENT_TOKEN,
        _compute,
        (
            Aggregate(Entity.USER, Measure.SEEN, MONTH, column=Column.PAYMENT_TOKEN, own=False),
            Aggregate(Entity.USER, Measure.COUNT, MONTH, own=False),
        ),
        monotone=1,
    ),
)
