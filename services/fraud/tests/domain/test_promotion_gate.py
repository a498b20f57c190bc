from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from weir_fraud.domain.model_stage import ModelChange, Stage
from weir_fraud.domain.outcome import Outcome
from weir_fraud.domain.promotion_gate import (
    Backtest,
    Estimate,
    Evidence,
    Figures,
    GateBounds,
    StoredBacktest,
    gate,
    shadow_time,
)

NOW = datetime(2026, 3, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)
BOUNDS = GateBounds(
    backtest_least_payments=1_000,
    backtest_least_frauds=10,
    backtest_most_days=30,
    most_loss=0.0,
    shadow_least_decisions=100,
    shadow_least_hours=24,
    reviews_per_day=10,
    decline_rate=0.05,
)
FIGURES = Figures(
    version="a",
    auc=Estimate(0.9, 0.85, 0.95),
    average_precision=Estimate(0.7, 0.65, 0.75),
    card_precision_100=Estimate(0.3, 0.25, 0.35),
    review_rate=0.01,
    decline_rate=0.05,
)
BACKTEST = Backtest(
    data_from=NOW - timedelta(days=60),
    data_until=NOW - timedelta(days=30),
    payments=1_000,
    frauds=10,
    data_sha256="0" * 64,
    candidate=msgspec.structs.replace(FIGURES, version="b"),
    champion=FIGURES,
)
SHADOWED = {
    (Outcome.APPROVE, Outcome.APPROVE): 85,
    (Outcome.APPROVE, Outcome.REVIEW): 10,
    (Outcome.APPROVE, Outcome.DECLINE): 5,
}
CHANGED = msgspec.structs.replace


def evidence(backtest: Backtest | None = BACKTEST, **members: Any) -> Evidence:
    stored = (
        None if backtest is None else StoredBacktest(number=7, backtest=backtest, recorded_at=NOW, recorded_by="op")
    )
    return Evidence("b", "a", stored, SHADOWED, 24 * HOUR)._replace(**members)


def failed(found: Evidence, to: Stage = Stage.CHAMPION) -> list[str]:
    return [check.name for check in gate(found, to, BOUNDS, NOW).failed]


def candidate(**members: Any) -> Backtest:
    return CHANGED(BACKTEST, candidate=CHANGED(BACKTEST.candidate, **members))


def test_what_equals_every_bound_passes() -> None:
    found = gate(evidence(), Stage.CHAMPION, BOUNDS, NOW)
    assert found.passed
    assert len(found.checks) == 11
    assert found.backtest == 7


@pytest.mark.parametrize(
    ("backtest", "name"),
    [
        (CHANGED(BACKTEST, payments=999), "backtest_payments"),
        (CHANGED(BACKTEST, frauds=9), "backtest_frauds"),
        (CHANGED(BACKTEST, data_until=BACKTEST.data_until - timedelta(seconds=1)), "backtest_age_days"),
        (candidate(auc=Estimate(0.99, 0.849, 0.999)), "auc_low"),
        (candidate(average_precision=Estimate(0.7, 0.649, 0.9)), "average_precision_low"),
        (candidate(card_precision_100=Estimate(0.3, 0.249, 0.9)), "card_precision_100_low"),
        (candidate(decline_rate=0.0501), "backtest_decline_rate"),
    ],
)
def test_each_check_of_the_backtest_fails_alone(backtest: Backtest, name: str) -> None:
    assert failed(evidence(backtest)) == [name]
    assert failed(evidence(backtest), Stage.CHALLENGER) == [name]


@pytest.mark.parametrize(
    ("members", "names"),
    [
        ({"shadow_time": 24 * HOUR - timedelta(seconds=1)}, ["shadow_hours", "reviews_per_day"]),
        (
            {"shadowed": SHADOWED | {(Outcome.APPROVE, Outcome.APPROVE): 84}},
            ["shadow_decisions", "shadow_decline_rate"],
        ),
        ({"shadowed": SHADOWED | {(Outcome.APPROVE, Outcome.DECLINE): 6}}, ["shadow_decline_rate"]),
        ({"shadowed": SHADOWED | {(Outcome.DECLINE, Outcome.REVIEW): 1}}, ["reviews_per_day"]),
        (
            {"shadowed": {}, "shadow_time": timedelta(0)},
            ["shadow_decisions", "shadow_hours", "reviews_per_day", "shadow_decline_rate"],
        ),
    ],
)
def test_the_shadow_is_held_to_its_bounds_for_a_champion_only(members: dict[str, Any], names: list[str]) -> None:
    assert failed(evidence(**members)) == names
    assert failed(evidence(**members), Stage.CHALLENGER) == []


def test_nothing_known_is_nothing_passed() -> None:
    found = gate(evidence(None, shadowed={}, shadow_time=timedelta(0)), Stage.CHAMPION, BOUNDS, NOW)
    assert len(found.failed) == len(found.checks) == 11


def test_the_first_champion_replaces_nobody() -> None:
    found = gate(Evidence("b", None, None, {}, timedelta(0)), Stage.CHAMPION, BOUNDS, NOW)
    assert found.passed
    assert found.checks == ()


def change(hours: float, before: Stage, after: Stage) -> ModelChange:
    return ModelChange(
        version="b",
        stage_before=before,
        stage_after=after,
        previous=None,
        changed_at=NOW + hours * HOUR,
        changed_by="op",
        note="",
    )


def test_the_time_as_a_shadow_is_the_sum_of_its_times_since_then() -> None:
    moves = [
        change(9, Stage.CANDIDATE, Stage.SHADOW),
        change(4, Stage.SHADOW, Stage.CANDIDATE),
        change(0, Stage.CANDIDATE, Stage.SHADOW),
    ]
    assert shadow_time(moves, NOW, NOW + 10 * HOUR) == 5 * HOUR
    assert shadow_time(moves, NOW + 3 * HOUR, NOW + 10 * HOUR) == 2 * HOUR
    assert shadow_time(moves, NOW + 5 * HOUR, NOW + 10 * HOUR) == 1 * HOUR
    assert shadow_time([], NOW, NOW + HOUR) == timedelta(0)
