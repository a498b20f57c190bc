"""The judge finds each kind of wrong, and nothing where all is right."""

from __future__ import annotations

from dataclasses import replace

import pytest
from weir_bench.chaos.client import Sent
from weir_bench.chaos.judgement import Effects, OnTheLog, Place, Verdict, inversions, judge

SENT = {f"e{number}": Sent("s", number, {}) for number in range(4)}
LOG = OnTheLog({f"e{number}": [Place(3, 10 + number)] for number in range(4)})
RIGHT = Effects(
    decisions={"e1": 1},
    announced={"e1": 1},
    archived=dict.fromkeys(SENT, 1),
    consumers={"fraud.score": 4, "analytics.books": 4},
    findings=[8],
    wrong_figures=[],
)


def verdict_on(effects: Effects = RIGHT, log: OnTheLog = LOG, kept: tuple[str, ...] = tuple(SENT)) -> Verdict:
    return judge(SENT, kept, log, effects, payments={"e1"}, finding_events=8, lake_read=True)


def counts(verdict: Verdict) -> tuple[int, int, int]:
    return (verdict.lost, verdict.twice, verdict.inverted)


def test_where_all_is_right_there_is_nothing_to_say() -> None:
    verdict = verdict_on()
    assert counts(verdict) == (0, 0, 0)
    assert verdict.words == []


def test_an_event_that_was_never_acknowledged_may_be_there_or_not() -> None:
    assert counts(verdict_on(kept=("e0",))) == (0, 0, 0)
    log = OnTheLog({id_: places for id_, places in LOG.places.items() if id_ != "e3"})
    effects = replace(RIGHT, archived=dict.fromkeys(log.ids, 1), consumers={"fraud.score": 3})
    assert counts(verdict_on(effects, log, kept=("e0", "e1", "e2"))) == (0, 0, 0)


def test_an_acknowledged_event_that_is_not_on_the_log_is_lost() -> None:
    log = OnTheLog({id_: places for id_, places in LOG.places.items() if id_ != "e3"})
    effects = replace(RIGHT, archived=dict.fromkeys(log.ids, 1), consumers={"fraud.score": 3})
    assert counts(verdict_on(effects, log)) == (1, 0, 0)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"decisions": {}}, (1, 0, 0)),
        ({"decisions": {"e1": 2}}, (0, 1, 0)),
        ({"decisions": {"e1": 1, "e2": 1}}, (0, 1, 0)),
        ({"announced": {}}, (1, 0, 0)),
        ({"announced": {"e1": 2}}, (0, 1, 0)),
        ({"archived": {**RIGHT.archived, "e0": 2}}, (0, 1, 0)),
        ({"archived": {"e0": 1, "e1": 1, "e2": 1}}, (1, 0, 0)),
        ({"consumers": {"fraud.score": 6}}, (0, 2, 0)),
        ({"consumers": {"fraud.score": 1}}, (3, 0, 0)),
        ({"findings": []}, (1, 0, 0)),
        ({"findings": [7]}, (1, 0, 0)),
        ({"findings": [8, 8]}, (0, 1, 0)),
        ({"findings": [9]}, (0, 1, 0)),
        ({"wrong_figures": ["orders", "sessions"]}, (0, 2, 0)),
    ],
)
def test_every_effect_is_there_exactly_once(wrong: dict[str, object], expected: tuple[int, int, int]) -> None:
    verdict = verdict_on(replace(RIGHT, **wrong))  # type: ignore[arg-type]
    assert counts(verdict) == expected
    assert verdict.words


def test_a_repeat_later_on_the_log_changes_no_order() -> None:
    log = OnTheLog({**LOG.places, "e0": [Place(3, 10), Place(3, 99)]})
    assert inversions(SENT, set(SENT), log) == []


def test_an_event_before_its_predecessor_is_an_inversion() -> None:
    log = OnTheLog({**LOG.places, "e1": [Place(3, 99)]})
    assert inversions(SENT, set(SENT), log) == ["e1"]


def test_an_event_on_another_partition_has_no_order() -> None:
    log = OnTheLog({**LOG.places, "e3": [Place(4, 13)]})
    assert inversions(SENT, set(SENT), log) == ["e3"]


def test_what_was_not_acknowledged_may_stand_anywhere() -> None:
    log = OnTheLog({**LOG.places, "e1": [Place(3, 99)]})
    assert inversions(SENT, {"e0", "e2", "e3"}, log) == []
