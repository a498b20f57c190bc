"""What can be asked of an entity's history, declared once: the Valkey function and the offline computation are made from it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

ROWS_KEPT: Final = 256
"""Of each entity, the newest observations are kept: at most 256 × 53 bytes. Counts and sums of hotter entities saturate there."""
RETENTION_SECONDS: Final = 31 * 86_400
"""Longer than the longest window by a day: an event may be a day late and still see the whole of its windows."""


class Entity(StrEnum):
    """Who has a history."""

    USER = "user"
    DEVICE = "device"
    PAYMENT_TOKEN = "payment_token"  # noqa: S105 - the name of an entity


class Column(StrEnum):
    """What of an observation can be counted distinct or looked for."""

    USER = "user"
    DEVICE = "device"
    PAYMENT_TOKEN = "payment_token"  # noqa: S105 - the name of a column
    COUNTRY = "country"


class Which(StrEnum):
    """Which observations count."""

    ALL = "all"
    DECLINED = "declined"
    SAME_CURRENCY = "same_currency"
    """Those that have an amount in the currency of the payment: amounts of two currencies are never added."""
    LOCATED = "located"


class Measure(StrEnum):
    """What is computed of them."""

    COUNT = "count"
    SUM = "sum"
    """Of amounts, in the currency."""
    MEAN = "mean"
    """Of amounts; nan if there are none."""
    DEVIATION = "deviation"
    """Sample standard deviation of amounts (n - 1), by Welford's recurrence in time order; nan below two."""
    DISTINCT = "distinct"
    """Different values of `column`; missing ones do not count."""
    SEEN = "seen"
    """1 if an observation has the payment's own value of `column`, else 0; nan if the payment has none."""
    SECONDS_SINCE = "seconds_since"
    """From the latest observation; nan if there is none."""
    LATEST_LATITUDE = "latest_latitude"
    """Degrees; of the latest observation."""
    LATEST_LONGITUDE = "latest_longitude"


@dataclass(frozen=True, slots=True)
class Window:
    """Event time (t - seconds, t]: an observation exactly `seconds` older is out, one of the same instant is in."""

    seconds: int
    label: str


MINUTE: Final = Window(60, "1m")
HOUR: Final = Window(3_600, "1h")
DAY: Final = Window(86_400, "24h")
MONTH: Final = Window(30 * 86_400, "30d")


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One figure of the history of one of the payment's entities; nan when the payment lacks the entity.

    With `own` the payment itself counts, also when its history is too full to keep it; without, only the others do.
    """

    entity: Entity
    measure: Measure
    window: Window
    which: Which = Which.ALL
    column: Column | None = None
    own: bool = True

    def __post_init__(self) -> None:
        if (self.column is not None) != (self.measure in (Measure.DISTINCT, Measure.SEEN)):
            raise ValueError(f"{self.measure} of column {self.column}")
        if self.own and self.measure not in (Measure.COUNT, Measure.SUM, Measure.DISTINCT):
            raise ValueError(f"{self.measure} cannot include the payment itself")
        if self.measure in (Measure.SUM, Measure.MEAN, Measure.DEVIATION) and self.which is not Which.SAME_CURRENCY:
            raise ValueError(f"{self.measure} over several currencies")
        if self.measure in (Measure.LATEST_LATITUDE, Measure.LATEST_LONGITUDE) and self.which is not Which.LOCATED:
            raise ValueError(f"{self.measure} of observations without a place")
        if self.window.seconds >= RETENTION_SECONDS:
            raise ValueError(f"{self.window.label} is longer than histories are kept")

    @property
    def name(self) -> str:
        """Unique and stable; part of the identity of the Valkey function."""
        parts = [self.entity, self.measure, self.column or "", self.which, self.window.label, "own" if self.own else ""]
        return ".".join(part for part in parts if part)
