"""The plan: within its bounds, monotone, explained, and holding when it does not know."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from weir_tenant_admin.domain.scaling import Binding, Limits, Measurements, plan

LIMITS = Limits(
    minimum=1, maximum=12, plan_maximum=12, partitions=4, cost_per_replica_hour=40_000, max_cost_per_hour=1_000_000
)


def measured(rate: float, backlog: int, cost: float, current: int = 1) -> Measurements:
    return Measurements(rate, backlog, 0.0, cost, 1.0, current, "test")


def test_a_worked_example() -> None:
    made = plan(measured(rate=1_000, backlog=60_000, cost=0.001), LIMITS)
    # need_rate = ceil(1,000 · 0.001 / 0.7) = 2; need_lag = ceil((1,000 + 60,000 / 60) · 0.001) = 2
    assert made.proposed == 2
    assert made.binding_constraint is Binding.NONE
    assert made.lag_seconds_after == 60.0
    assert made.cost_per_hour_delta == 40_000
    assert [step.result for step in made.steps] == ["4 (partitions)", "2", "2", "2"]


def test_the_partitions_bind_and_the_plan_says_so() -> None:
    made = plan(measured(rate=10_000, backlog=0, cost=0.001), LIMITS)
    assert made.proposed == 4
    assert made.binding_constraint is Binding.PARTITIONS
    assert "15 replicas are needed and 4 allowed" in made.risks[0]


def test_a_missing_measurement_holds() -> None:
    made = plan(Measurements(None, 100, 5.0, 0.001, 1.0, 3, "test"), LIMITS)
    assert made.hold
    assert made.proposed == made.current == 3
    assert made.cost_per_hour_delta == 0


rates = st.floats(0, 1e5)
backlogs = st.integers(0, 10**9)
costs = st.floats(0, 0.01)


@given(rates, backlogs, costs, st.integers(1, 20))
def test_the_proposal_stays_within_its_bounds(rate: float, backlog: int, cost: float, current: int) -> None:
    made = plan(measured(rate, backlog, cost, current), LIMITS)
    assert LIMITS.minimum <= made.proposed <= min(LIMITS.partitions, LIMITS.maximum)


@given(rates, rates, backlogs, costs)
def test_more_load_never_asks_for_less(rate: float, more: float, backlog: int, cost: float) -> None:
    low, high = sorted((rate, more))
    assert plan(measured(low, backlog, cost), LIMITS).proposed <= plan(measured(high, backlog, cost), LIMITS).proposed


@given(rates, backlogs, costs)
def test_the_same_measurements_give_the_same_hash(rate: float, backlog: int, cost: float) -> None:
    assert plan(measured(rate, backlog, cost), LIMITS).hash == plan(measured(rate, backlog, cost), LIMITS).hash
