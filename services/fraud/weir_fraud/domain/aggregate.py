"""What can be asked of an entity's history, declared once: the Valkey function and the offline computations are made from it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

DAY_SECONDS: Final = 86_400
ROWS_KEPT: Final = 256
"""Of each entity, the newest observations are kept: at most 256 × 86 bytes. What is asked of hotter entities saturates there."""
RETENTION_SECONDS: Final = 38 * DAY_SECONDS
"""Longer than the longest window with its delay by a day: an event may be a day late and still see the whole of its windows."""

FORGOTTEN_TOGETHER: Final = 16
"""So many that are too old are forgotten together: a history of a steady customer would else be rewritten at each payment."""


class Entity(StrEnum):
    """Who has a history."""

    USER = "user"
    DEVICE = "device"
    PAYMENT_TOKEN = "payment_token"  # noqa: S105 - the name of an entity
    ADDRESS = "address"
    """Where the goods go, else where the bill goes."""
    NETWORK = "network"
    """The client's network address."""
    MERCHANT = "merchant"
    """Who sells: a seller of a marketplace, a branch, a terminal."""
    PRODUCT = "product"
    """What the first line of the cart is."""


class Column(StrEnum):
    """What of an observation can be counted distinct or looked for."""

    USER = "user"
    DEVICE = "device"
    PAYMENT_TOKEN = "payment_token"  # noqa: S105 - the name of a column
    ADDRESS = "address"
    NETWORK = "network"
    MERCHANT = "merchant"
    PRODUCT = "product"
    COUNTRY = "country"


class Which(StrEnum):
    """Which observations count."""

    ALL = "all"
    DECLINED = "declined"
    SAME_CURRENCY = "same_currency"
    """Those that have an amount in the currency of the payment: amounts of two currencies are never added."""
    LOCATED = "located"
    FRAUD = "fraud"
    """Those of which it was known at the payment's time that they were fraud."""


class Measure(StrEnum):
    """What is computed of them."""

    COUNT = "count"
    SUM = "sum"
    """Of amounts, in the currency."""
    MEAN = "mean"
    """Of amounts; nan if there are none."""
    MAX = "max"
    """Of amounts; nan if there are none."""
    DEVIATION = "deviation"
    """Sample standard deviation of amounts (n - 1), by Welford's recurrence from the newest to the oldest; nan below two."""
    DISTINCT = "distinct"
    """Different values of `column`; missing ones do not count. Exact: a history is short enough, a sketch would err and save nothing."""
    SEEN = "seen"
    """1 if an observation has the payment's own value of `column`, else 0; nan if the payment has none."""
    SECONDS_SINCE = "seconds_since"
    """From the latest observation; nan if there is none."""
    LATEST_LATITUDE = "latest_latitude"
    """Degrees; of the latest observation."""
    LATEST_LONGITUDE = "latest_longitude"


AMOUNT_MEASURES: Final = frozenset({Measure.SUM, Measure.MEAN, Measure.MAX, Measure.DEVIATION})
OWN_MEASURES: Final = frozenset({Measure.COUNT, Measure.SUM, Measure.MEAN, Measure.MAX, Measure.DISTINCT})
"""Those that can include the payment itself."""


@dataclass(frozen=True, slots=True)
class Window:
    """Event time (t - delay - seconds, t - delay]: an observation at the old edge is out, one at the new edge is in.

    A delay keeps away what is too young for its label to be known.
    """

    seconds: int
    label: str
    delay: int = 0

    def delayed(self, days: int) -> Window:
        """The same window, that many days earlier."""
        return Window(self.seconds, f"{self.label}_delayed_{days}d", days * DAY_SECONDS)


MINUTE: Final = Window(60, "1m")
TEN_MINUTES: Final = Window(600, "10m")
HOUR: Final = Window(3_600, "1h")
DAY: Final = Window(DAY_SECONDS, "24h")
WEEK: Final = Window(7 * DAY_SECONDS, "7d")
FORTNIGHT: Final = Window(14 * DAY_SECONDS, "14d")
MONTH: Final = Window(30 * DAY_SECONDS, "30d")

LABEL_DELAY_DAYS: Final = 7
"""A label is not believed to be missing before: chargebacks and complaints take days."""


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
        if self.own and self.measure not in OWN_MEASURES:
            raise ValueError(f"{self.measure} cannot include the payment itself")
        if self.own and (self.window.delay or self.which is Which.FRAUD):
            raise ValueError(f"{self.name}: the payment itself is neither old nor labelled")
        if self.measure in AMOUNT_MEASURES and self.which is not Which.SAME_CURRENCY:
            raise ValueError(f"{self.measure} over several currencies")
        if self.measure in (Measure.LATEST_LATITUDE, Measure.LATEST_LONGITUDE) and self.which is not Which.LOCATED:
            raise ValueError(f"{self.measure} of observations without a place")
        if self.window.seconds + self.window.delay >= RETENTION_SECONDS:
            raise ValueError(f"{self.window.label} reaches further back than histories do")

    @property
    def name(self) -> str:
        """Unique and stable; part of the identity of the Valkey function."""
        parts = [self.entity, self.measure, self.column or "", self.which, self.window.label, "own" if self.own else ""]
        return ".".join(part for part in parts if part)
