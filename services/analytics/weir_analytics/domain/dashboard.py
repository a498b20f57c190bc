"""A dashboard: the catalogue's figures over a range, their course over time, and what they leave out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from weir_analytics.domain.catalogue import Catalogue
from weir_analytics.domain.figures import (
    Sums,
    counter_figures,
    empty_sketch,
    sketch_figure,
    sketch_figures,
)
from weir_analytics.domain.left_out import LEFT_OUT
from weir_analytics.domain.metric import COUNTERS, AnyMetric, Dimensions, Figure, Figures, Ratio, Total
from weir_analytics.domain.rollup import Seconds, united
from weir_analytics.domain.sketches.codec import Sketch
from weir_analytics.domain.window import Window


class CounterRow(NamedTuple):
    """Sums of one cell's rollups over one bucket of the series."""

    metric: str
    dimensions: Dimensions
    bucket: Seconds
    value: Decimal
    weight: Decimal


class SketchRow(NamedTuple):
    """One rollup of a sketch; several may fall into one bucket of the series."""

    metric: str
    dimensions: Dimensions
    bucket: Seconds
    sketch: Sketch


@dataclass(frozen=True, slots=True)
class Freshness:
    """How far the tenant's figures are. All None before the tenant's first event."""

    newest_event_at: datetime | None = None
    """Event time of the newest event that is counted."""
    newest_accepted_at: datetime | None = None
    """When the newest counted event was accepted."""
    applied_at: datetime | None = None
    """When that event was counted."""


@dataclass(frozen=True, slots=True)
class MetricFigures:
    """One metric of the dashboard. A series holds one figure for each bucket of the window."""

    metric: AnyMetric
    figures: Figures
    series: Mapping[Dimensions, Sequence[Figure]]


@dataclass(frozen=True, slots=True)
class Dashboard:
    window: Window
    metrics: Sequence[MetricFigures]
    left_out: Mapping[str, int]
    as_of: datetime
    freshness: Freshness

    @property
    def figures(self) -> dict[str, Figures]:
        """Without the series; what a recomputation must equal."""
        return {each.metric.name: each.figures for each in self.metrics}


def assemble(
    catalogue: Catalogue,
    window: Window,
    counters: Iterable[CounterRow],
    sketches: Iterable[SketchRow],
    *,
    as_of: datetime,
    freshness: Freshness,
) -> Dashboard:
    """Add up what was read. Rollups of metrics that the catalogue does not know are ignored."""
    sums = _sums_by_bucket(counters)
    united_sketches = _sketches_by_bucket(sketches)
    metrics = [
        _counted(metric, window, sums[metric.name])
        if metric.additivity in COUNTERS
        else _sketched(metric, window, united_sketches[metric.name])
        for metric in catalogue
    ]
    left_out = counter_figures(LEFT_OUT, _over_time(sums[LEFT_OUT.name]))
    return Dashboard(
        window,
        metrics,
        {reason: total.count for (reason,), total in left_out.items() if isinstance(total, Total)},
        as_of,
        freshness,
    )


SumsByBucket = dict[Dimensions, dict[Seconds, Sums]]
SketchesByBucket = dict[Dimensions, dict[Seconds, Sketch]]


def _sums_by_bucket(rows: Iterable[CounterRow]) -> defaultdict[str, SumsByBucket]:
    sums: defaultdict[str, SumsByBucket] = defaultdict(dict)
    for row in rows:
        course = sums[row.metric].setdefault(row.dimensions, {})
        before = course.get(row.bucket, (Decimal(0), Decimal(0)))
        course[row.bucket] = (before[0] + row.value, before[1] + row.weight)
    return sums


def _sketches_by_bucket(rows: Iterable[SketchRow]) -> defaultdict[str, SketchesByBucket]:
    parts: defaultdict[str, dict[Dimensions, dict[Seconds, list[Sketch]]]] = defaultdict(dict)
    for row in rows:
        parts[row.metric].setdefault(row.dimensions, {}).setdefault(row.bucket, []).append(row.sketch)
    sketches: defaultdict[str, SketchesByBucket] = defaultdict(dict)
    for metric, cells in parts.items():
        for dimensions, course in cells.items():
            sketches[metric][dimensions] = {bucket: united(*several) for bucket, several in course.items()}
    return sketches


def _over_time(cells: SumsByBucket) -> dict[Dimensions, Sums]:
    return {
        dimensions: (
            sum((sums[0] for sums in course.values()), Decimal(0)),
            sum((sums[1] for sums in course.values()), Decimal(0)),
        )
        for dimensions, course in cells.items()
    }


def _counted(metric: AnyMetric, window: Window, cells: SumsByBucket) -> MetricFigures:
    figures = counter_figures(metric, _over_time(cells))
    nothing = (Decimal(0), Decimal(0))
    make = Ratio if metric.additivity.value == "R" else _total
    series = {
        dimensions: [make(*cells.get(dimensions, {}).get(bucket, nothing)) for bucket in window.buckets]
        for dimensions in (figures if metric.series else ())
    }
    return MetricFigures(metric, figures, series)


def _total(value: Decimal, weight: Decimal) -> Total:
    return Total(value, int(weight))


def _sketched(metric: AnyMetric, window: Window, cells: SketchesByBucket) -> MetricFigures:
    figures = sketch_figures(metric, {dimensions: united(*course.values()) for dimensions, course in cells.items()})
    empty = empty_sketch(metric)
    series = {
        dimensions: [sketch_figure(metric, cells.get(dimensions, {}).get(bucket, empty)) for bucket in window.buckets]
        for dimensions in (figures if metric.series else ())
    }
    return MetricFigures(metric, figures, series)
