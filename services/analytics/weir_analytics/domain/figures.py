"""From added cells to figures: the last step, which divides, ranks and estimates. Never done before cells were added."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal

from weir_analytics.domain.metric import (
    Additivity,
    AnyMetric,
    Dimensions,
    Distinct,
    Figure,
    Figures,
    Quantile,
    Ranked,
    Ratio,
    Total,
)
from weir_analytics.domain.sketches.codec import Sketch
from weir_analytics.domain.sketches.distinct_count import DistinctCount
from weir_analytics.domain.sketches.log_histogram import LogHistogram

Sums = tuple[Decimal, Decimal]
"""(value, weight): sum and count, or numerator and denominator."""


def counter_figures(metric: AnyMetric, cells: Mapping[Dimensions, Sums]) -> Figures:
    """Figures of a metric of class A, R or K. Cells that were taken back entirely give none."""
    held = {dimensions: sums for dimensions, sums in cells.items() if sums[0] or sums[1]}
    if metric.additivity is Additivity.TOP:
        return _ranked(metric, held)
    figures: Figures = {dimensions: _counter_figure(metric, sums) for dimensions, sums in sorted(held.items())}
    return figures or _nothing(metric)


def sketch_figures(metric: AnyMetric, cells: Mapping[Dimensions, Sketch]) -> Figures:
    """Figures of a metric of class D or Q."""
    figures: Figures = {dimensions: sketch_figure(metric, sketch) for dimensions, sketch in sorted(cells.items())}
    return figures or _nothing(metric)


def sketch_figure(metric: AnyMetric, sketch: Sketch) -> Figure:
    if isinstance(sketch, DistinctCount):
        return Distinct(sketch.count(), sketch.exact)
    assert metric.quantile is not None
    return Quantile(sketch.quantile(metric.quantile), sketch.total)


def _counter_figure(metric: AnyMetric, sums: Sums) -> Figure:
    if metric.additivity is Additivity.RATIO:
        return Ratio(sums[0], sums[1])
    return Total(sums[0], int(sums[1]))


def _ranked(metric: AnyMetric, cells: Mapping[Dimensions, Sums]) -> Figures:
    lists: defaultdict[Dimensions, list[Ranked]] = defaultdict(list)
    for (*others, item), (value, count) in cells.items():
        lists[tuple(others)].append(Ranked(item, value, int(count)))
    return {
        dimensions: tuple(sorted(ranked, key=lambda place: (-place.value, -place.count, place.item))[: metric.places])
        for dimensions, ranked in sorted(lists.items())
    }


def _nothing(metric: AnyMetric) -> Figures:
    """A metric without dimensions has a figure also where nothing was counted."""
    if metric.dimensions:
        return {}
    empty: dict[Additivity, Figure] = {
        Additivity.ADDITIVE: Total(Decimal(0), 0),
        Additivity.RATIO: Ratio(Decimal(0), Decimal(0)),
        Additivity.DISTINCT: sketch_figure(metric, DistinctCount.of(())),
        Additivity.QUANTILE: Quantile(None, 0),
    }
    return {(): empty[metric.additivity]}


def empty_sketch(metric: AnyMetric) -> Sketch:
    """What a bucket holds in which nothing was counted."""
    return DistinctCount.of(()) if metric.additivity is Additivity.DISTINCT else LogHistogram({})
