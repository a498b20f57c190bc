"""What one micro-batch adds to a tenant's rollups.

Facts are cut into UTC minutes of event time and measured by every metric of their kind; the class of the metric alone decides
what is kept (`Rollup.counters`, `Rollup.sketches`). Everything here adds and unites, so that neither the order of facts nor their split over batches
matters. Each minute also goes into its quarter of an hour, so that a day is read from 96 buckets instead of 1,440; all time zones are
multiples of 15 minutes off UTC.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import Final, NamedTuple

from weir_analytics.domain.catalogue import Catalogue
from weir_analytics.domain.facts import MICROSECONDS, Fact
from weir_analytics.domain.metric import Count, Dimensions, Member
from weir_analytics.domain.sketches.codec import Sketch
from weir_analytics.domain.sketches.distinct_count import DistinctCount, hash64
from weir_analytics.domain.sketches.log_histogram import LogHistogram, bucket_of

MINUTE: Final = 60
QUARTER_HOUR: Final = 900
STEPS: Final = (MINUTE, QUARTER_HOUR)
"""Seconds of a bucket, finest first; every step is a multiple of the one before."""

Seconds = int


class Cell(NamedTuple):
    """Where a rollup is kept. `bucket` is its start in seconds of the Unix epoch."""

    metric: str
    step: Seconds
    bucket: Seconds
    dimensions: Dimensions


class Rollup:
    """Additions to one tenant's cells."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._by_fact = catalogue.by_fact
        self._counts: defaultdict[tuple[str, Seconds, Dimensions], list[Decimal | int]] = defaultdict(lambda: [0, 0])
        self._members: defaultdict[tuple[str, Seconds, Dimensions], set[str]] = defaultdict(set)
        self._buckets: defaultdict[tuple[str, Seconds, Dimensions], Counter[int]] = defaultdict(Counter)

    def add(self, fact: Fact, sign: int = 1) -> None:
        """Count a fact, or take it back with −1. Facts of distinct counts and quantiles cannot be taken back.

        Only in metrics whose purpose may have it, given what its subject refused.
        """
        minute = fact.at // (MINUTE * MICROSECONDS) * MINUTE
        for metric in self._by_fact.get((type(fact), fact.refused), ()):
            for contribution in metric.measure(fact):
                key = (metric.name, minute, contribution.dimensions)
                if isinstance(contribution, Count):
                    cell = self._counts[key]
                    cell[0] += sign * contribution.value
                    cell[1] += sign * contribution.weight
                elif sign < 0:
                    raise ValueError(f"{metric.name}: a sketch cannot forget")
                elif isinstance(contribution, Member):
                    self._members[key].add(contribution.member)
                else:
                    self._buckets[key][bucket_of(contribution.value)] += 1

    def counters(self) -> dict[Cell, tuple[Decimal, Decimal]]:
        """(value, weight) to add to each cell, minutes and quarter hours."""
        cells: dict[Cell, tuple[Decimal, Decimal]] = {}
        for (metric, minute, dimensions), (value, weight) in self._counts.items():
            if value or weight:
                for cell in _cells(metric, minute, dimensions):
                    before = cells.get(cell, (Decimal(0), Decimal(0)))
                    cells[cell] = (before[0] + value, before[1] + weight)
        return cells

    def sketches(self) -> dict[Cell, Sketch]:
        """The sketch to unite with that of each cell, minutes and quarter hours."""
        members: defaultdict[Cell, set[str]] = defaultdict(set)
        for (metric, minute, dimensions), added in self._members.items():
            for cell in _cells(metric, minute, dimensions):
                members[cell] |= added
        buckets: defaultdict[Cell, Counter[int]] = defaultdict(Counter)
        for (metric, minute, dimensions), counts in self._buckets.items():
            for cell in _cells(metric, minute, dimensions):
                buckets[cell].update(counts)
        hashes = {member: hash64(member) for added in self._members.values() for member in added}
        sketches: dict[Cell, Sketch] = {
            cell: DistinctCount.of([hashes[member] for member in added]) for cell, added in members.items()
        }
        sketches.update({cell: LogHistogram(counts) for cell, counts in buckets.items()})
        return sketches


def united(first: Sketch, *others: Sketch) -> Sketch:
    """All in one; they must be of one kind."""
    if isinstance(first, DistinctCount):
        return first.union(*(other for other in others if isinstance(other, DistinctCount)))
    return first.add(*(other for other in others if isinstance(other, LogHistogram)))


def _cells(metric: str, minute: Seconds, dimensions: Dimensions) -> Iterator[Cell]:
    for step in STEPS:
        yield Cell(metric, step, minute - minute % step, dimensions)
