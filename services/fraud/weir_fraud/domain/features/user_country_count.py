"""Countries that the user paid from, this one included."""

from weir_fraud.domain.aggregate import DAY, MONTH, Aggregate, Column, Entity, Measure
from weir_fraud.domain.feature import windowed
from weir_fraud.domain.reason_code import MULTIPLE_COUNTRIES

FEATURES = windowed(
    "user_country_count",
    unit="countries",
    description="Countries that the user paid from, this one included",
    reason=MULTIPLE_COUNTRIES,
    windows=(
        DAY,
        MONTH,
    ),
    aggregate=lambda window: Aggregate(Entity.USER, Measure.DISTINCT, window, column=Column.COUNTRY),
    monotone=1,
)
