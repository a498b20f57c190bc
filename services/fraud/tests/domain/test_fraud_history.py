"""The rules of a history, on the offline computation; an integration test holds Valkey to it."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta

import pytest
from weir_fraud.domain.aggregate import (
    DAY,
    FORGOTTEN_TOGETHER,
    HOUR,
    MINUTE,
    MONTH,
    RETENTION_SECONDS,
    ROWS_KEPT,
    Aggregate,
    Column,
    Entity,
    Measure,
    Which,
    Window,
)
from weir_fraud.domain.history import Histories, History
from weir_fraud.domain.payment import Payment, observation_of

Make = Callable[..., Payment]


def value(aggregate: Aggregate, *payments: Payment) -> float:
    """Of the last payment."""
    histories = Histories([aggregate])
    answers = [histories.observe(observation_of(payment)) for payment in payments]
    return answers[-1][0]


COUNT_1M = Aggregate(Entity.USER, Measure.COUNT, MINUTE)


@pytest.mark.parametrize(("age", "count"), [(59.999999, 2), (60, 1), (60.000001, 1), (0, 2), (-0.000001, 1)])
def test_a_window_is_open_at_its_old_end_and_closed_at_its_new_one(make_payment: Make, age: float, count: int) -> None:
    assert value(COUNT_1M, make_payment(after=-age), make_payment()) == count


def test_a_repeat_counts_once(make_payment: Make) -> None:
    payment = make_payment()
    assert value(COUNT_1M, payment, payment, payment) == 1
    assert value(COUNT_1M, payment, payment, make_payment(after=1)) == 2


def test_a_late_payment_sees_what_was_before_it_and_is_seen_by_what_comes_after(make_payment: Make) -> None:
    early, late, newest, after = (make_payment(after=seconds) for seconds in (0, 10, 20, 30))
    assert value(COUNT_1M, early, newest, late) == 2
    assert value(COUNT_1M, early, newest, late, after) == 4


def test_a_wrong_clock_wipes_nothing(make_payment: Make) -> None:
    now = make_payment()
    ahead = make_payment(at=now.at + timedelta(days=400), received_at=now.received_at)
    assert value(Aggregate(Entity.USER, Measure.COUNT, MONTH), now, ahead, make_payment(after=1)) == 2


def test_what_is_older_than_the_retention_is_forgotten_many_together(make_payment: Make) -> None:
    history = History()
    for second in range(FORGOTTEN_TOGETHER):
        history.add(observation_of(make_payment(after=second)))
    last = FORGOTTEN_TOGETHER - 1
    history.add(observation_of(make_payment(after=last + RETENTION_SECONDS - 1)))
    assert len(history.rows) == FORGOTTEN_TOGETHER + 1
    history.add(observation_of(make_payment(after=last + RETENTION_SECONDS)))
    assert len(history.rows) == 2


def test_a_history_is_bounded_and_a_payment_counts_itself_even_when_it_is_not_kept(make_payment: Make) -> None:
    histories = Histories([Aggregate(Entity.USER, Measure.COUNT, DAY)])
    for second in range(ROWS_KEPT + 50):
        (count,) = histories.observe(observation_of(make_payment(after=100 + second)))
        assert count == min(second, ROWS_KEPT) + 1
    assert histories.observe(observation_of(make_payment(after=0))) == (1,)


def test_amounts_of_other_currencies_are_not_added(make_payment: Make) -> None:
    total = Aggregate(Entity.USER, Measure.SUM, HOUR, Which.SAME_CURRENCY)
    payments = [
        make_payment(amount="0.10"),
        make_payment(amount="0.20"),
        make_payment(amount="99", currency="USD"),
        make_payment(amount=None),
        make_payment(amount="0.30"),
    ]
    assert value(total, *payments) == 0.6


def test_mean_and_deviation_are_of_the_others(make_payment: Make) -> None:
    payments = [make_payment(amount=amount) for amount in ("10", "20", "60", "1000")]
    of = {
        measure: value(Aggregate(Entity.USER, measure, MONTH, Which.SAME_CURRENCY, own=False), *payments)
        for measure in (Measure.MEAN, Measure.DEVIATION)
    }
    assert of[Measure.MEAN] == pytest.approx(30)
    assert of[Measure.DEVIATION] == pytest.approx(math.sqrt((400 + 100 + 900) / 2))
    alone = make_payment()
    assert math.isnan(value(Aggregate(Entity.USER, Measure.MEAN, MONTH, Which.SAME_CURRENCY, own=False), alone))


def test_mean_and_maximum_with_the_payment_itself(make_payment: Make) -> None:
    payments = [make_payment(amount=amount) for amount in ("10", "20", None, "60")]
    assert value(Aggregate(Entity.USER, Measure.MEAN, DAY, Which.SAME_CURRENCY), *payments) == 30
    assert value(Aggregate(Entity.USER, Measure.MAX, DAY, Which.SAME_CURRENCY), *payments) == 60
    assert value(Aggregate(Entity.USER, Measure.MAX, DAY, Which.SAME_CURRENCY, own=False), *payments) == 20
    assert math.isnan(value(Aggregate(Entity.USER, Measure.MEAN, DAY, Which.SAME_CURRENCY), make_payment(amount=None)))


@pytest.mark.parametrize(
    ("age", "count"), [(86_400 * 8, 0), (86_400 * 8 - 1e-6, 1), (86_400 * 7, 1), (86_400 * 7 - 1e-6, 0), (0, 0)]
)
def test_a_delayed_window_has_the_same_edges_earlier(make_payment: Make, age: float, count: int) -> None:
    delayed = Aggregate(Entity.USER, Measure.COUNT, DAY.delayed(7), own=False)
    assert value(delayed, make_payment(after=-age), make_payment()) == count


def test_distinct_and_seen_ignore_what_is_missing(make_payment: Make) -> None:
    devices = Aggregate(Entity.USER, Measure.DISTINCT, DAY, column=Column.DEVICE)
    payments = [make_payment(device=device) for device in ("a", "b", None, "a")]
    assert value(devices, *payments) == 2
    seen = Aggregate(Entity.USER, Measure.SEEN, DAY, column=Column.DEVICE, own=False)
    assert value(seen, *payments) == 1
    assert value(seen, make_payment(device="a"), make_payment(device="c")) == 0
    assert math.isnan(value(seen, make_payment(device=None)))


def test_the_latest_place_is_that_of_the_latest_payment_that_has_one(make_payment: Make) -> None:
    latitude = Aggregate(Entity.USER, Measure.LATEST_LATITUDE, MONTH, Which.LOCATED, own=False)
    payments = [make_payment(latitude=48.1), make_payment(after=5, latitude=None), make_payment(after=9)]
    assert value(latitude, *payments) == 48.1
    seconds = Aggregate(Entity.USER, Measure.SECONDS_SINCE, MONTH, Which.LOCATED, own=False)
    assert value(seconds, *payments) == 9


def test_an_entity_that_the_payment_lacks_has_no_values(make_payment: Make) -> None:
    assert math.isnan(value(Aggregate(Entity.DEVICE, Measure.COUNT, DAY), make_payment(device=None)))


@pytest.mark.parametrize(
    ("measure", "members"),
    [
        (Measure.DISTINCT, {}),
        (Measure.COUNT, {"column": Column.DEVICE}),
        (Measure.DEVIATION, {"which": Which.SAME_CURRENCY}),
        (Measure.MEAN, {}),
        (Measure.MAX, {"own": False}),
        (Measure.COUNT, {"which": Which.FRAUD}),
        (Measure.COUNT, {"window": DAY.delayed(7)}),
        (Measure.COUNT, {"window": MONTH.delayed(8), "own": False}),
        (Measure.SUM, {}),
        (Measure.LATEST_LATITUDE, {"own": False}),
        (Measure.COUNT, {"window": Window(RETENTION_SECONDS, "31d")}),
    ],
)
def test_an_aggregate_that_makes_no_sense_cannot_be_declared(measure: Measure, members: dict[str, object]) -> None:
    values: dict[str, object] = {"entity": Entity.USER, "measure": measure, "window": DAY} | members
    with pytest.raises(ValueError):
        Aggregate(**values)  # type: ignore[arg-type]
