"""Scores as probabilities: of payments with the score .2, a fifth are fraud."""

from __future__ import annotations

from typing import Final, NamedTuple

import lightgbm
import numpy as np
from numpy.typing import NDArray

_STEPS: Final = 100
_ENOUGH: Final = 1e-10
BINS: Final = 10


class Calibration(NamedTuple):
    """Platt's line: the calibrated margin is ``slope`` times the margin plus ``shift``, both in log-odds."""

    slope: float
    shift: float


def platt(margins: NDArray[np.float64], y: NDArray[np.int8]) -> Calibration:
    """The line under which what happened is likeliest.

    J. Platt, "Probabilistic outputs for support vector machines", 1999, with its targets that keep a small sample from certainty; by Newton's
    method with halved steps (H. Lin, C. Lin, R. Weng, "A note on Platt's probabilistic outputs", 2007). ``y`` has both kinds.
    """
    frauds = int(y.sum())
    honest = len(y) - frauds
    targets = np.where(y == 1, (frauds + 1) / (frauds + 2), 1 / (honest + 2))
    line = np.array([1.0, 0.0])
    design = np.column_stack([margins, np.ones(len(y))])

    def loss(at: NDArray[np.float64]) -> float:
        z = design @ at
        return float(np.sum(np.logaddexp(0, z) - targets * z))

    best = loss(line)
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-(design @ line)))
        gradient = design.T @ (p - targets)
        curvature = (design * (p * (1 - p))[:, None]).T @ design + 1e-12 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while size > _ENOUGH and loss(line - size * step) > best:
            size /= 2
        line = line - size * step
        improved, best = best - loss(line), loss(line)
        if improved < _ENOUGH * max(1.0, abs(best)):
            break
    return Calibration(float(line[0]), float(line[1]))


def calibrated(booster: lightgbm.Booster, line: Calibration) -> lightgbm.Booster:
    """A booster whose margin is the line of the old one's: its leaves are multiplied, and the shift is in the first tree.

    So the score stays one model, and its TreeSHAP contributions add up to the calibrated margin as they did before.
    """
    changed = lightgbm.Booster(model_str=booster.model_to_string())
    for number, tree in enumerate(changed.dump_model()["tree_info"]):
        for leaf in range(tree["num_leaves"]):
            value = line.slope * changed.get_leaf_output(number, leaf) + (line.shift if number == 0 else 0.0)
            changed.set_leaf_output(number, leaf, value)
    # As it will be loaded.
    return lightgbm.Booster(model_str=changed.model_to_string())


def calibration_error(y: NDArray[np.int8], scores: NDArray[np.float64]) -> float:
    """Expected calibration error over ten bins of equal numbers: the mean distance of score and share of fraud."""
    order = np.argsort(scores, kind="stable")
    return float(
        sum(
            abs(scores[part].mean() - y[part].mean()) * len(part)
            for part in np.array_split(order, min(BINS, len(order)))
        )
        / len(order)
    )
