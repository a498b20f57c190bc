from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from weir_fraud.domain.drift import (
    LEAST_SHARE,
    Baseline,
    Baselines,
    Calibration,
    DriftCounts,
    drift_report,
    psi,
    sum_of,
)

AT = datetime(2026, 3, 4, tzinfo=UTC)
HALVES = Baseline((10.0,), (0.5, 0.5, 0.0))
BASELINES = Baselines(
    rows=100, features={"amount": HALVES, "age": Baseline((), (0.75, 0.25))}, score=Baseline((0.5,), (0.9, 0.1, 0.0))
)
NAMES = ("age", "not-in-the-card", "amount")


def calibration(decisions: int = 100, frauds: int = 20, expected: float = 10.0) -> Calibration:
    return Calibration(
        since=AT, until=AT, decisions=decisions, labelled=frauds, frauds=frauds, expected=expected, squares=9.0
    )


def test_psi_by_hand() -> None:
    # (0.5 - 0.4)·ln(0.5 / 0.4) + (0.5 - 0.6)·ln(0.5 / 0.6)
    assert psi([0.4, 0.6], [0.5, 0.5]) == pytest.approx(0.1 * 0.22314355131 + -0.1 * -0.18232155679)
    assert psi([0.25, 0.25, 0.5], [0.5, 0.25, 0.25]) == pytest.approx(2 * 0.25 * math.log(2))
    assert psi([0.3, 0.7], [0.3, 0.7]) == 0
    assert psi([0.2, 0.8], [0.6, 0.4]) == psi([0.6, 0.4], [0.2, 0.8])


def test_an_empty_bin_is_not_infinitely_far() -> None:
    expected = (0.5 - LEAST_SHARE) * math.log(0.5 / LEAST_SHARE) + 0.5 * math.log(2)
    assert psi([0.5, 0.5], [0.0, 1.0]) == pytest.approx(expected)
    assert psi([0.0, 1.0], [0.0, 1.0]) == 0


@pytest.mark.parametrize(("value", "place"), [(-1e9, 0), (9.99, 0), (10.0, 1), (1e9, 1), (math.nan, 2)])
def test_an_edge_belongs_to_the_bin_that_it_begins(value: float, place: int) -> None:
    assert HALVES.bin_of(value) == place


def test_counts_become_shares_by_name_and_merge() -> None:
    first, second = DriftCounts(BASELINES, NAMES), DriftCounts(BASELINES, NAMES)
    first.add((1.0, 0.0, 9.0), 0.1)
    first.add((math.nan, 0.0, 11.0), 0.6)
    second.add((1.0, 0.0, 9.0), 0.1)
    second.add((1.0, 0.0, 11.0), 0.1)
    first.merge(second)
    assert first.decisions == 4
    assert first.feature_psi() == {"age": 0.0, "amount": 0.0}
    assert first.score_psi() == pytest.approx(psi([0.9, 0.1, 0.0], [0.75, 0.25, 0.0]))


def test_too_little_is_said_instead_of_a_figure() -> None:
    counts = DriftCounts(BASELINES, NAMES)
    counts.add((1.0, 0.0, 9.0), 0.1)
    few = drift_report(
        "a", counts, calibration(frauds=19), decisions=1, since=AT, computed_at=AT, least_decisions=2, least_frauds=20
    )
    assert (few.score_psi, few.features, few.worst, few.calibration_ratio, few.calibration_brier) == (None,) * 5
    counts.add((1.0, 0.0, 9.0), 0.1)
    enough = drift_report(
        "a", counts, calibration(), decisions=2, since=AT, computed_at=AT, least_decisions=2, least_frauds=20
    )
    assert enough.worst is not None
    assert enough.worst[0] == "amount"
    assert (enough.calibration_ratio, enough.calibration_brier) == (2.0, 0.09)
    bare = drift_report(
        "a", None, calibration(), decisions=9, since=AT, computed_at=AT, least_decisions=2, least_frauds=20
    )
    assert (bare.has_baselines, bare.score_psi) == (False, None)


def test_calibrations_add_up() -> None:
    both = sum_of([calibration(), calibration(decisions=50, frauds=0, expected=30.0)])
    assert (both.decisions, both.frauds, both.expected, both.ratio) == (150, 20, 40.0, 0.5)
    assert calibration(decisions=0, frauds=0, expected=0.0).ratio is None
    assert calibration(decisions=0).brier is None
