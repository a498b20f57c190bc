"""How far the payment is from where the user paid last."""

from collections.abc import Sequence

from weir_fraud.domain.aggregate import MONTH, Aggregate, Entity, Measure, Which
from weir_fraud.domain.feature import NAN, Feature
from weir_fraud.domain.geography import moved_km
from weir_fraud.domain.payment import Payment
from weir_fraud.domain.reason_code import LOCATION_CHANGE


def _compute(payment: Payment, aggregates: Sequence[float]) -> float:
    latitude, longitude = aggregates
    if payment.latitude is None or payment.longitude is None or latitude != latitude:
        return NAN
    return moved_km(payment.latitude, payment.longitude, latitude, longitude)


FEATURES = (
    Feature(
        "distance_from_last_location",
        "km",
        "Great-circle distance from the place of the user's last located payment, over 30d; places are rounded to 0.1 degree, "
        "and below 16 km, the diagonal of such a cell, it is 0: neighbouring cells are no movement",
        LOCATION_CHANGE,
        _compute,
        (
            Aggregate(Entity.USER, Measure.LATEST_LATITUDE, MONTH, Which.LOCATED, own=False),
            Aggregate(Entity.USER, Measure.LATEST_LONGITUDE, MONTH, Which.LOCATED, own=False),
        ),
        monotone=1,
    ),
)
