"""Whether the user pays from this device for the first time."""

from collections.abc import Sequence

from weir_fraud.domain.aggregate import MONTH, Aggregate, Column, Entity, Measure
from weir_fraud.domain.feature import NAN, Feature
from weir_fraud.domain.payment import Payment
from weir_fraud.domain.reason_code import NEW_DEVICE


def _compute(_: Payment, aggregates: Sequence[float]) -> float:
    seen, payments = aggregates
    # Of a user without a history everything is new: that says nothing, and user_history_count says it better.
    return 1.0 - seen if payments > 0 else NAN


FEATURES = (
    Feature(
        "first_payment_from_device",
        "1",
        "1 if the user did not pay from this device before, over 30d; unknown for a user without a history",
        NEW_DEVICE,
        _compute,
        (
            Aggregate(Entity.USER, Measure.SEEN, MONTH, column=Column.DEVICE, own=False),
            Aggregate(Entity.USER, Measure.COUNT, MONTH, own=False),
        ),
        monotone=1,
    ),
)
