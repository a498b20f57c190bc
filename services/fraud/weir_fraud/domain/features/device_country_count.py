"""Countries that the device paid from, this one included."""

from weir_fraud.domain.aggregate import DAY, Aggregate, Column, Entity, Measure
from weir_fraud.domain.feature import windowed
from weir_fraud.domain.reason_code import MULTIPLE_COUNTRIES

FEATURES = windowed(
    "device_country_count",
    unit="countries",
    description="Countries that the device paid from, this one included",
    reason=MULTIPLE_COUNTRIES,
    windows=(DAY,),
    aggregate=lambda window: Aggregate(Entity.DEVICE, Measure.DISTINCT, window, column=Column.COUNTRY),
    monotone=1,
)
