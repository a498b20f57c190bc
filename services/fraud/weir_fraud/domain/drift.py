"""How far the payments of today are from those that a model was trained on, and whether its scores are still probabilities."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

LEAST_SHARE: Final = 1e-4
"""Instead of the share of an empty bin, whose logarithm there is not."""
MODERATE_PSI: Final = 0.1
LARGE_PSI: Final = 0.25
"""Conventions of the field, no tests: below the first nothing is said, above the second something has moved."""


class Baseline(msgspec.Struct, frozen=True):
    """Of one feature, or of the score. `edges`: ascending; bin i has the values with i edges at or below them. The last of `shares` is that
    of unknown values, so there are two more than edges."""

    edges: tuple[float, ...]
    shares: tuple[float, ...]

    def bin_of(self, value: float) -> int:
        return len(self.edges) + 1 if math.isnan(value) else bisect_right(self.edges, value)


class Baselines(msgspec.Struct, frozen=True, kw_only=True):
    """Of one model, in its card. The score's are of a period that it was not fitted on."""

    rows: int
    features: dict[str, Baseline]
    score: Baseline


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """Of decisions that are old enough for their labels to have come. One without a label was honest; one that was declined never
    became a payment and is left out, unless it has one."""

    since: datetime
    until: datetime
    decisions: int
    labelled: int
    frauds: int
    expected: float
    """Sum of the scores."""
    squares: float
    """Sum of the squared differences of score and outcome."""

    @property
    def ratio(self) -> float | None:
        """Observed frauds to expected ones; 1 is what is promised."""
        return self.frauds / self.expected if self.expected > 0 else None

    @property
    def brier(self) -> float | None:
        """Mean squared difference (Brier, Monthly Weather Review 78, 1950)."""
        return self.squares / self.decisions if self.decisions else None


class DriftReport(msgspec.Struct, frozen=True, kw_only=True):
    """Of one version and one tenant, or all. `score_psi` and `features` are None where there is too little to say so."""

    version: str
    computed_at: datetime
    since: datetime
    decisions: int
    least_decisions: int
    has_baselines: bool
    score_psi: float | None
    features: dict[str, float] | None
    calibration: Calibration
    calibration_ratio: float | None
    """None with fewer than `least_frauds` labelled frauds: a tenant that sends no labels is not without fraud."""
    calibration_brier: float | None
    least_frauds: int

    @property
    def worst(self) -> tuple[str, float] | None:
        """The feature that moved most."""
        return max(self.features.items(), key=lambda one: one[1]) if self.features else None


def psi(expected: Sequence[float], actual: Sequence[float]) -> float:
    """Population stability index: the sum over bins of (a - e)·ln(a / e), in nats; shares of each side sum to 1.

    Siddiqi, Credit Risk Scorecards (Wiley 2006); it is Jeffreys' divergence of the binned distributions. Under no change its expectation is
    about (bins - 1)·(1/n + 1/m) (Yurdakul, Statistical Properties of Population Stability Index, 2018), so of few rows it says nothing.
    """
    total = 0.0
    for one, other in zip(expected, actual, strict=True):
        e, a = max(one, LEAST_SHARE), max(other, LEAST_SHARE)
        total += (a - e) * math.log(a / e)
    return total


class DriftCounts:
    """Decisions by bins, one after the other; bounded however many there are."""

    def __init__(self, baselines: Baselines, names: Sequence[str]) -> None:
        """`names`: the model's inputs in their order. Those without a baseline are not looked at."""
        self._places = [
            (place, name, baselines.features[name]) for place, name in enumerate(names) if name in baselines.features
        ]
        self._baselines = baselines
        self.decisions = 0
        self._score = [0] * len(baselines.score.shares)
        self._features = {name: [0] * len(baseline.shares) for _, name, baseline in self._places}

    def add(self, values: Sequence[float], score: float) -> None:
        """One decision's snapshot."""
        self.decisions += 1
        self._score[self._baselines.score.bin_of(score)] += 1
        for place, name, baseline in self._places:
            self._features[name][baseline.bin_of(values[place])] += 1

    def merge(self, other: DriftCounts) -> None:
        """Of the same model."""
        self.decisions += other.decisions
        self._score = [one + more for one, more in zip(self._score, other._score, strict=True)]
        for name, counts in self._features.items():
            self._features[name] = [one + more for one, more in zip(counts, other._features[name], strict=True)]

    def score_psi(self) -> float:
        """Of at least one decision."""
        return psi(self._baselines.score.shares, self._shares(self._score))

    def feature_psi(self) -> dict[str, float]:
        """Of each feature; of at least one decision."""
        return {name: psi(baseline.shares, self._shares(self._features[name])) for _, name, baseline in self._places}

    def _shares(self, counts: Sequence[int]) -> list[float]:
        return [count / self.decisions for count in counts]


def sum_of(parts: Sequence[Calibration]) -> Calibration:
    """Of all tenants, of the same period."""
    return Calibration(
        since=parts[0].since,
        until=parts[0].until,
        decisions=sum(one.decisions for one in parts),
        labelled=sum(one.labelled for one in parts),
        frauds=sum(one.frauds for one in parts),
        expected=math.fsum(one.expected for one in parts),
        squares=math.fsum(one.squares for one in parts),
    )


def drift_report(
    version: str,
    counts: DriftCounts | None,
    calibration: Calibration,
    *,
    decisions: int,
    since: datetime,
    computed_at: datetime,
    least_decisions: int,
    least_frauds: int,
) -> DriftReport:
    """`counts` None: the model's card has no baselines."""
    enough = counts is not None and counts.decisions >= least_decisions
    known = calibration.frauds >= least_frauds
    return DriftReport(
        version=version,
        computed_at=computed_at,
        since=since,
        decisions=decisions,
        least_decisions=least_decisions,
        has_baselines=counts is not None,
        score_psi=counts.score_psi() if counts is not None and enough else None,
        features=counts.feature_psi() if counts is not None and enough else None,
        calibration=calibration,
        calibration_ratio=calibration.ratio if known else None,
        calibration_brier=calibration.brier if known else None,
        least_frauds=least_frauds,
    )
