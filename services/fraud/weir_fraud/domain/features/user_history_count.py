"""Payments of the user before this one."""

from weir_fraud.domain.aggregate import MONTH, Aggregate, Entity, Measure
from weir_fraud.domain.feature import windowed
from weir_fraud.domain.reason_code import USER_HISTORY

FEATURES = windowed(
    "user_history_count",
    unit="payments",
    description="Payments of the user before this one",
    reason=USER_HISTORY,
    windows=(MONTH,),
    aggregate=lambda window: Aggregate(Entity.USER, Measure.COUNT, window, own=False),
    monotone=0,
)
