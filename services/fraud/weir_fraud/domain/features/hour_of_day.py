"""The time of the day."""

from collections.abc import Sequence
from typing import Final

from weir_fraud.domain.feature import NAN, Feature
from weir_fraud.domain.payment import Payment
from weir_fraud.domain.reason_code import UNUSUAL_HOUR

_DEGREES_AN_HOUR: Final = 15.0


def _compute(payment: Payment, _: Sequence[float]) -> float:
    if payment.longitude is None:
        return NAN
    hour = payment.at.hour + payment.at.minute / 60
    # The sun is an hour off at most from most people's clocks, and needs no table of time zones.
    return (hour + payment.longitude / _DEGREES_AN_HOUR) % 24


FEATURES = (Feature("hour_of_day", "h", "Solar time of the day where the payment is made", UNUSUAL_HOUR, _compute),)
