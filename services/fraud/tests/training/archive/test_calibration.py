"""Scores that are probabilities."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest
from weir_fraud.training.archive.calibration import Calibration, calibrated, calibration_error, platt


@pytest.fixture(scope="module")
def booster() -> lightgbm.Booster:
    random = np.random.default_rng(1)
    x = random.normal(size=(3_000, 4))
    x[random.random(x.shape) < 0.1] = np.nan
    y = (np.nan_to_num(x).sum(axis=1) + random.normal(size=3_000) > 2).astype(int)
    parameters = {"objective": "binary", "num_leaves": 8, "verbose": -1, "num_threads": 1}
    return lightgbm.train(parameters, lightgbm.Dataset(x, y), 20)


def test_the_line_that_made_the_outcomes_is_found() -> None:
    random = np.random.default_rng(2)
    margins = random.normal(-1, 2, 200_000)
    y = (random.random(len(margins)) < 1 / (1 + np.exp(-(0.5 * margins - 2)))).astype(np.int8)
    line = platt(margins, y)
    assert line.slope == pytest.approx(0.5, abs=0.02)
    assert line.shift == pytest.approx(-2, abs=0.03)


def test_margins_that_separate_everything_keep_a_finite_line() -> None:
    y = np.array([0] * 50 + [1] * 50, dtype=np.int8)
    line = platt(np.where(y == 1, 10.0, -10.0), y)
    assert np.isfinite(line).all()
    assert 0 < line.slope * 10 + line.shift < 10  # Platt's targets: not certain after fifty


def test_leaves_carry_the_line_and_explanations_still_add_up(booster: lightgbm.Booster) -> None:
    line = Calibration(0.7, -1.3)
    changed = calibrated(booster, line)
    x = np.random.default_rng(3).normal(size=(500, 4))
    x[::7, 1] = np.nan
    before, after = booster.predict(x, raw_score=True), changed.predict(x, raw_score=True)
    np.testing.assert_allclose(after, line.slope * before + line.shift, atol=1e-12)
    contributions = np.asarray(changed.predict(x, pred_contrib=True))
    np.testing.assert_allclose(contributions.sum(axis=1), after, atol=1e-9)
    np.testing.assert_allclose(
        contributions[:, :-1], line.slope * np.asarray(booster.predict(x, pred_contrib=True))[:, :-1], atol=1e-9
    )


def test_the_error_is_the_mean_distance_of_score_and_share() -> None:
    y = np.array([0, 1] * 50, dtype=np.int8)
    assert calibration_error(y, np.full(100, 0.5)) == pytest.approx(0)
    assert calibration_error(y, np.full(100, 0.9)) == pytest.approx(0.4)
    # Two halves that are wrong in opposite ways do not make each other right.
    scores = np.where(np.arange(100) < 50, 0.2, 0.8)
    outcomes = np.where(np.arange(100) < 50, 1, 0).astype(np.int8)
    assert calibration_error(outcomes, scores) == pytest.approx(0.8)
