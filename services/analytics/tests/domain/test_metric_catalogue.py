"""Every metric of the catalogue, whichever there are."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

import pytest
from weir_analytics.domain.catalogue import catalogue_of, load_catalogue
from weir_analytics.domain.facts import DeviceSessionStarted, PageLoaded, PersonSeen, Purchase
from weir_analytics.domain.figures import counter_figures, sketch_figures
from weir_analytics.domain.left_out import LEFT_OUT
from weir_analytics.domain.metric import COUNTERS, Additivity, AnyMetric, Count, Dimensions, Figures, Metric, Total
from weir_analytics.domain.rollup import MINUTE, Cell, Rollup
from weir_common.consent import Consent, Purpose

CATALOGUE = load_catalogue()
METRICS = [*CATALOGUE, LEFT_OUT]


def figures_of(metric: AnyMetric, rollup: Rollup) -> Figures:
    """All minutes of one metric."""
    if metric.additivity in COUNTERS:
        sums: defaultdict[Dimensions, tuple[Decimal, Decimal]] = defaultdict(lambda: (Decimal(0), Decimal(0)))
        for cell, (value, weight) in rollup.counters().items():
            if cell.metric == metric.name and cell.step == MINUTE:
                sums[cell.dimensions] = (sums[cell.dimensions][0] + value, sums[cell.dimensions][1] + weight)
        return counter_figures(metric, sums)
    cells = {
        cell.dimensions: sketch
        for cell, sketch in rollup.sketches().items()
        if cell.metric == metric.name and cell.step == MINUTE
    }
    return sketch_figures(metric, cells)


def test_the_ten_metrics_of_the_first_issue_are_there() -> None:
    assert [metric.name for metric in CATALOGUE] == [
        "active_people",
        "average_order_value",
        "fraud_rate",
        "orders",
        "page_load_p95",
        "sales_by_country",
        "session_conversion_rate",
        "sessions",
        "top_categories",
        "total_sales",
    ]


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_the_worked_example_comes_out(metric: AnyMetric) -> None:
    rollup = Rollup(CATALOGUE)
    for fact in metric.example.facts:
        rollup.add(fact)
    assert figures_of(metric, rollup) == dict(metric.example.figures)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metric_is_told_in_full(metric: AnyMetric) -> None:
    for text in (metric.title, metric.where, metric.value, metric.description, metric.follows, metric.trap):
        assert len(text) > 3
    assert metric.source in ("weir.ingest.events.v2", "weir.fraud.decisions.v1")
    for fact in metric.example.facts:
        for contribution in metric.measure(fact):
            assert len(contribution.dimensions) == len(metric.dimensions)
            assert isinstance(contribution, Count) == (metric.additivity in COUNTERS)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_what_is_taken_back_leaves_nothing(metric: AnyMetric) -> None:
    rollup = Rollup(CATALOGUE)
    for fact in metric.example.facts:
        rollup.add(fact)
    if metric.additivity not in COUNTERS:
        with pytest.raises(ValueError, match="cannot forget"):
            rollup.add(metric.example.facts[0], -1)
        return
    for fact in metric.example.facts:
        rollup.add(fact, -1)
    assert rollup.counters() == {}


def test_money_is_never_added_over_currencies() -> None:
    for metric in CATALOGUE:
        if metric.unit == "currency":
            assert "currency" in metric.dimensions
    assert CATALOGUE["fraud_rate"].dimensions == ("basis",)


def test_a_metric_of_a_class_without_storage_is_refused() -> None:
    metric = CATALOGUE["orders"]
    with pytest.raises(ValueError, match="no storage"):
        type(metric)(
            **{name: getattr(metric, name) for name in metric.__dataclass_fields__}
            | {"additivity": Additivity.SEMI_ADDITIVE}
        )


def fields_of(metric: AnyMetric) -> dict[str, object]:
    return {name: getattr(metric, name) for name in metric.__dataclass_fields__}


def test_a_metric_without_a_purpose_cannot_be_defined() -> None:
    fields = fields_of(CATALOGUE["orders"])
    del fields["purpose"]
    with pytest.raises(TypeError, match="purpose"):
        Metric(**fields)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="purpose"):
        Metric(**fields, purpose="whatever")  # type: ignore[arg-type]


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_what_people_do_is_not_counted_as_trade(metric: AnyMetric) -> None:
    """Whoever counts such facts for another purpose must change this test, and say why in the decision record."""
    expected = {PersonSeen: Purpose.PEOPLE, DeviceSessionStarted: Purpose.PEOPLE, PageLoaded: Purpose.BEHAVIOUR}
    assert metric.purpose is expected.get(metric.fact, metric.purpose)
    assert (metric.purpose in (Purpose.PEOPLE, Purpose.BEHAVIOUR)) == (metric.fact in expected)


def test_a_metric_of_people_over_purchases_would_leave_out_who_refused() -> None:
    """The purpose decides, whatever kind of fact a metric counts."""
    orders = CATALOGUE["orders"]
    buyers = Metric(**fields_of(orders) | {"name": "buyers", "purpose": Purpose.PEOPLE})  # type: ignore[arg-type]
    rollup = Rollup(catalogue_of([orders, buyers]))
    for refused in (frozenset(), {Consent.TRACKING}, {Consent.ANALYTICS}, {Consent.MARKETING}):
        rollup.add(Purchase(0, "a", "a", "USD", None, None, "US", (), refused=frozenset(refused)))
    assert figures_of(orders, rollup) == {("USD",): Total(Decimal(4), 4)}
    assert figures_of(buyers, rollup) == {("USD",): Total(Decimal(2), 2)}


def test_every_minute_lies_in_its_quarter_of_an_hour() -> None:
    rollup = Rollup(CATALOGUE)
    metric = CATALOGUE["sessions"]
    (first, _) = metric.example.facts
    rollup.add(first)
    assert set(rollup.counters()) >= {Cell("sessions", 60, 0, ()), Cell("sessions", 900, 0, ())}
