"""Dashboards and metric definitions as JSON."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any, Final

from weir_common.consent import ASKS
from weir_common.ids import TenantId

from weir_analytics.domain.dashboard import Dashboard, MetricFigures
from weir_analytics.domain.event import moment
from weir_analytics.domain.facts import MICROSECONDS
from weir_analytics.domain.metric import (
    AnyMetric,
    Dimensions,
    Distinct,
    Figure,
    Figures,
    Quantile,
    Ratio,
    Total,
)
from weir_analytics.domain.rollup import Seconds

Document = dict[str, Any]

RATIO_PLACES: Final = 9
"""Decimals of a ratio: enough for a rate of one in a hundred million; numerator and denominator stand beside it, exact."""

_CURRENCY_DIMENSIONS: Final = ("currency", "basis")


def dashboard_document(tenant_id: TenantId, dashboard: Dashboard, currency: str | None = None) -> Document:
    """The answer of the dashboard endpoint. With `currency`, figures of money in others are left out."""
    window = dashboard.window
    fresh = dashboard.freshness
    delay = (
        (fresh.applied_at - fresh.newest_accepted_at).total_seconds()
        if fresh.applied_at is not None and fresh.newest_accepted_at is not None
        else None
    )
    return {
        "tenant_id": tenant_id,
        "from": _instant(window.start),
        "to": _instant(window.end),
        "step_seconds": window.step,
        "as_of": dashboard.as_of,
        "freshness": {
            "newest_event_at": fresh.newest_event_at,
            "newest_accepted_at": fresh.newest_accepted_at,
            "applied_at": fresh.applied_at,
            "applied_after_seconds": delay,
        },
        "left_out": dict(dashboard.left_out),
        "buckets": [_instant(bucket) for bucket in window.buckets],
        "metrics": {each.metric.name: _metric_figures(each, currency) for each in dashboard.metrics},
    }


def metric_document(metric: AnyMetric) -> Document:
    """One definition of the catalogue."""
    return {
        "name": metric.name,
        "title": metric.title,
        "class": metric.additivity.value,
        "unit": metric.unit,
        "dimensions": list(metric.dimensions),
        "source": metric.source,
        "filter": metric.where,
        "value": metric.value,
        "description": metric.description,
        "follows": metric.follows,
        "trap": metric.trap,
        "purpose": metric.purpose,
        "asks_consent": sorted(ASKS[metric.purpose]),
        "example": figures_document(metric, dict(metric.example.figures)),
    }


def figures_document(metric: AnyMetric, figures: Figures) -> list[Document]:
    """A metric's figures alone."""
    return [{**named_dimensions(metric, dimensions), **_figure(figure)} for dimensions, figure in figures.items()]


def figure_of_ratio(ratio: Ratio) -> str | None:
    """Decimal text, rounded half-even to nine places; None where nothing was counted."""
    if not ratio.denominator:
        return None
    with localcontext() as context:
        context.prec = 60
        quotient = ratio.numerator / ratio.denominator
        return plain(quotient.quantize(Decimal(1).scaleb(-RATIO_PLACES), ROUND_HALF_EVEN).normalize())


def plain(number: Decimal) -> str:
    """Without an exponent; integers without a point."""
    return format(number, "f")


def named_dimensions(metric: AnyMetric, dimensions: Dimensions) -> dict[str, str]:
    """By name. A top list has all but the last: that is its item."""
    return dict(zip(metric.dimensions, dimensions, strict=False))


def speaks_of(metric: AnyMetric, dimensions: Dimensions, currency: str | None) -> bool:
    """Whether a figure is to be shown to someone who asked for one currency."""
    named = named_dimensions(metric, dimensions)
    found = next((named[name] for name in _CURRENCY_DIMENSIONS if name in named), None)
    return currency is None or found is None or found == currency or found == "count"


def _metric_figures(each: MetricFigures, currency: str | None) -> Document:
    metric = each.metric
    document: Document = {
        "title": metric.title,
        "class": metric.additivity.value,
        "unit": metric.unit,
        "figures": [
            {**named_dimensions(metric, dimensions), **_figure(figure)}
            for dimensions, figure in each.figures.items()
            if speaks_of(metric, dimensions, currency)
        ],
    }
    if metric.series:
        document["series"] = [
            {**named_dimensions(metric, dimensions), "values": [_point(point) for point in points]}
            for dimensions, points in each.series.items()
            if speaks_of(metric, dimensions, currency)
        ]
    return document


def _figure(figure: Figure) -> Document:
    if isinstance(figure, Total):
        return {"value": plain(figure.value), "count": figure.count}
    if isinstance(figure, Ratio):
        return {
            "value": figure_of_ratio(figure),
            "numerator": plain(figure.numerator),
            "denominator": plain(figure.denominator),
        }
    if isinstance(figure, Distinct):
        return {"value": figure.count, "exact": figure.exact}
    if isinstance(figure, Quantile):
        return {"value": figure.value, "count": figure.count}
    return {"places": [{"item": place.item, "value": plain(place.value), "count": place.count} for place in figure]}


def _point(figure: Figure) -> str | int | float | None:
    if isinstance(figure, Total):
        return plain(figure.value)
    if isinstance(figure, Ratio):
        return figure_of_ratio(figure)
    if isinstance(figure, Distinct):
        return figure.count
    if isinstance(figure, Quantile):
        return figure.value
    raise TypeError("a top list is not drawn")


def _instant(at: Seconds) -> datetime:
    return moment(at * MICROSECONDS)


DASHBOARD_EXAMPLE: Final[Document] = {
    "tenant_id": "merchant_12345",
    "from": "2026-11-25T10:00:00Z",
    "to": "2026-11-25T10:03:00Z",
    "step_seconds": 60,
    "as_of": "2026-11-25T10:02:31.120000Z",
    "freshness": {
        "newest_event_at": "2026-11-25T10:02:30.400000Z",
        "newest_accepted_at": "2026-11-25T10:02:30.650000Z",
        "applied_at": "2026-11-25T10:02:30.910000Z",
        "applied_after_seconds": 0.26,
    },
    "left_out": {"duplicate_order": 1},
    "buckets": ["2026-11-25T10:00:00Z", "2026-11-25T10:01:00Z", "2026-11-25T10:02:00Z"],
    "metrics": {
        "total_sales": {
            "title": "Revenue",
            "class": "A",
            "unit": "currency",
            "figures": [{"currency": "USD", "value": "1812.97", "count": 1}],
            "series": [{"currency": "USD", "values": ["0", "1812.97", "0"]}],
        },
        "session_conversion_rate": {
            "title": "Conversion",
            "class": "R",
            "unit": "ratio",
            "figures": [{"value": "0.25", "numerator": "1", "denominator": "4"}],
            "series": [{"values": ["0.5", "0", None]}],
        },
        "top_categories": {
            "title": "Top categories",
            "class": "K",
            "unit": "currency",
            "figures": [{"currency": "USD", "places": [{"item": "Electronics", "value": "1799.98", "count": 1}]}],
        },
    },
}
