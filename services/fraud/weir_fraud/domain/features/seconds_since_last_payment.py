"""How long ago the user paid last."""

from weir_fraud.domain.aggregate import MONTH, Aggregate, Entity, Measure
from weir_fraud.domain.feature import Feature
from weir_fraud.domain.reason_code import USER_VELOCITY

FEATURES = (
    Feature(
        "seconds_since_last_payment",
        "s",
        "Since the user's last payment, over 30d",
        USER_VELOCITY,
        lambda _, aggregates: aggregates[0],
        (Aggregate(Entity.USER, Measure.SECONDS_SINCE, MONTH, own=False),),
        monotone=-1,
    ),
)
