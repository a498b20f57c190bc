"""How fast the user would have travelled from where they paid last."""

from collections.abc import Sequence
from typing import Final

from weir_fraud.domain.aggregate import MONTH, Aggregate, Entity, Measure, Which
from weir_fraud.domain.feature import NAN, Feature
from weir_fraud.domain.geography import moved_km
from weir_fraud.domain.payment import Payment
from weir_fraud.domain.reason_code import IMPOSSIBLE_TRAVEL

NEARBY_KM: Final = 50.0
"""Nearer than this is the same place: locations of networks jump by as much between two requests, and the rounding of places to
0.1 degree moves each by up to 8 km."""
SHORTEST_SECONDS: Final = 60.0
"""Two payments of the same minute would give any speed."""


def _compute(payment: Payment, aggregates: Sequence[float]) -> float:
    latitude, longitude, seconds = aggregates
    if payment.latitude is None or payment.longitude is None or latitude != latitude:
        return NAN
    distance = moved_km(payment.latitude, payment.longitude, latitude, longitude)
    return 0.0 if distance < NEARBY_KM else distance / (max(seconds, SHORTEST_SECONDS) / 3_600)


FEATURES = (
    Feature(
        "speed_from_last_location",
        "km/h",
        "Distance from the place of the user's last located payment by the time since, 0 below 50 km, over 30d; places are "
        "rounded to 0.1 degree",
        IMPOSSIBLE_TRAVEL,
        _compute,
        (
            Aggregate(Entity.USER, Measure.LATEST_LATITUDE, MONTH, Which.LOCATED, own=False),
            Aggregate(Entity.USER, Measure.LATEST_LONGITUDE, MONTH, Which.LOCATED, own=False),
            Aggregate(Entity.USER, Measure.SECONDS_SINCE, MONTH, Which.LOCATED, own=False),
        ),
        monotone=1,
    ),
)
