"""What a metric definition is. Its class alone decides how it is stored, how it rolls up and how it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Generic, NamedTuple, TypeVar

from weir_common.consent import Purpose

from weir_analytics.domain.facts import Fact

FactT = TypeVar("FactT", bound=Fact)

Dimensions = tuple[str, ...]
"""The values of a metric's dimensions, in the order of their names."""


class Additivity(StrEnum):
    """The classes of the catalogue that are rolled up."""

    ADDITIVE = "A"
    """Stored as sum and count; both add."""
    SEMI_ADDITIVE = "S"
    """Adds over space, over time the last value counts. No metric of this class yet: there is no storage for it."""
    RATIO = "R"
    """Stored as numerator and denominator; both add, the division is last. Ratios are never averaged."""
    DISTINCT = "D"
    """Stored as an exact set up to 1,024 members, then as HyperLogLog registers; union, register maximum."""
    QUANTILE = "Q"
    """Stored as a logarithmic histogram; buckets add. Percentiles are never averaged."""
    TOP = "K"
    """Stored as sum and count for each item; both add, the ranking is last."""


COUNTERS = frozenset({Additivity.ADDITIVE, Additivity.RATIO, Additivity.TOP})
SKETCHES = frozenset({Additivity.DISTINCT, Additivity.QUANTILE})


class Count(NamedTuple):
    """A contribution to a counter: (sum, count) of A and K, (numerator, denominator) of R. Taken back by its negative."""

    dimensions: Dimensions
    value: Decimal | int
    weight: Decimal | int


class Member(NamedTuple):
    """A contribution to a distinct count."""

    dimensions: Dimensions
    member: str


class Observation(NamedTuple):
    """A contribution to a quantile."""

    dimensions: Dimensions
    value: float


Contribution = Count | Member | Observation


@dataclass(frozen=True, slots=True)
class Total:
    """Figure of an additive metric."""

    value: Decimal
    count: int


@dataclass(frozen=True, slots=True)
class Ratio:
    """Figure of a ratio."""

    numerator: Decimal
    denominator: Decimal

    @property
    def value(self) -> Decimal | None:
        """None where nothing was counted: no share is not the share zero."""
        return self.numerator / self.denominator if self.denominator else None


@dataclass(frozen=True, slots=True)
class Distinct:
    """Figure of a distinct count."""

    count: int
    exact: bool


@dataclass(frozen=True, slots=True)
class Quantile:
    """Figure of a quantile; `value` is None where there was no observation."""

    value: float | None
    count: int


@dataclass(frozen=True, slots=True)
class Ranked:
    """One place in a top list."""

    item: str
    value: Decimal
    count: int


Top = tuple[Ranked, ...]
Figure = Total | Ratio | Distinct | Quantile | Top
Figures = dict[Dimensions, Figure]
"""A metric's figures by dimension values; a top list by all but its last dimension, which is the item."""


@dataclass(frozen=True, slots=True)
class Example:
    """A worked example; the tests run it through the rollups."""

    facts: tuple[Fact, ...]
    figures: Mapping[Dimensions, Figure]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric(Generic[FactT]):
    """One definition. The texts are for people and are served as they stand by `GET /api/v2/analytics/metrics`."""

    name: str
    title: str
    additivity: Additivity
    purpose: Purpose
    """What it is for. It decides whose events are counted: those whose subject refused a consent that the purpose asks for are not."""
    unit: str
    source: str
    """Topic of the events that it is made of."""
    where: str
    """Which events count."""
    value: str
    """What is counted of each."""
    description: str
    follows: str
    """Whose definition it is, so that figures can be compared with other tools."""
    trap: str
    """The mistake that is easily made with this metric."""
    fact: type[FactT]
    measure: Callable[[FactT], Iterable[Contribution]]
    example: Example
    dimensions: tuple[str, ...] = ()
    quantile: float | None = None
    """Of class Q: which one, 0 to 1."""
    places: int | None = None
    """Of class K: the length of the list."""
    series: bool = True
    """Whether the dashboard draws it over time. Breakdowns are tables."""

    def __post_init__(self) -> None:
        if not isinstance(self.purpose, Purpose):
            raise ValueError(f"{self.name}: {self.purpose!r} is no purpose")
        if (self.additivity is Additivity.QUANTILE) != (self.quantile is not None):
            raise ValueError(f"{self.name}: a quantile metric, and no other, names its quantile")
        if (self.additivity is Additivity.TOP) != (self.places is not None):
            raise ValueError(f"{self.name}: a top list, and no other, has a length")
        if self.additivity is Additivity.SEMI_ADDITIVE:
            raise ValueError(f"{self.name}: class S has no storage yet")


AnyMetric = Metric[Any]
