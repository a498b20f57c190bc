"""From runs to measures."""

from __future__ import annotations

import pytest
from weir_bench.peers.__main__ import Run, measures_of
from weir_bench.peers.contestants import BY_DEFAULT, CONTESTANTS, NOTHING, in_turn
from weir_bench.peers.programs.work import Stopwatch

RATES = {"faust": 10.0, "quixstreams": 20.0, "bytewax": 50.0, "faststream": 40.0, "weir": 150.0}


def runs(rates: dict[str, float]) -> list[Run]:
    """Three rounds: half, once and twice the rate."""
    return [
        Run(number, one.name, one.batch, rates.get(one.name, 1.0) * factor, 1e6 / rates.get(one.name, 1.0), {})
        for number, factor in ((1, 0.5), (2, 1.0), (3, 2.0))
        for one in (*CONTESTANTS, BY_DEFAULT, NOTHING)
        if one.name in rates or not one.is_peer
    ]


def test_ours_is_held_against_the_best_of_the_others_by_medians() -> None:
    measures = {one.name: one for one in measures_of(runs(RATES), {})}
    assert measures["ratio_to_best_peer"].value == 3.0
    assert measures["ratio_to_best_peer"].met
    assert measures["cpu_ratio_to_best_peer"].value == 3.0
    assert measures["peers_measured"].value == 4
    assert measures["rate_bytewax"].value == 50.0


def test_a_miss_is_a_miss() -> None:
    measures = {one.name: one for one in measures_of(runs(RATES | {"weir": 149.0}), {})}
    assert not measures["ratio_to_best_peer"].met


def test_a_peer_that_failed_is_named_with_its_reason_and_does_not_count() -> None:
    without = {name: rate for name, rate in RATES.items() if name != "bytewax"}
    measures = {one.name: one for one in measures_of(runs(without), {"bytewax": "it said nothing"})}
    assert measures["peers_measured"].value == 3
    assert not measures["peers_measured"].met
    assert "it said nothing" in measures["peers_measured"].how
    assert measures["rate_bytewax"].value is None
    assert measures["ratio_to_best_peer"].value == 3.75


def test_the_runs_are_interleaved() -> None:
    order = in_turn(2, CONTESTANTS)
    assert [number for number, _ in order] == [1] * len(CONTESTANTS) + [2] * len(CONTESTANTS)
    assert [one for _, one in order[: len(CONTESTANTS)]] == list(CONTESTANTS)


def test_the_stopwatch_ends_with_the_last_event() -> None:
    watch = Stopwatch(3)
    with pytest.raises(AssertionError):
        watch.answer([])
    watch.begin()
    assert not watch.done(2)
    assert watch.done(1)
    first = watch.answer([])
    assert watch.done(0)
    assert watch.answer([]) == first
    assert first.seconds > 0
