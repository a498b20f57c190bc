"""How good scores are, and how far that can be trusted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from weir_fraud.domain.payment import MICROSECONDS
from weir_fraud.training.archive.rows import Rows
from weir_fraud.training.metrics import auc_roc, average_precision

RESAMPLES: Final = 200
LEVEL: Final = 0.95
_DAY: Final = 86_400 * MICROSECONDS

Scores = NDArray[np.float64]
Measured = Callable[[NDArray[np.int8], Scores], float]


def card_precision(
    day: NDArray[np.int64], card: NDArray[np.int64], y: NDArray[np.int8], scores: Scores, reviewed: int = 100
) -> float:
    """Of the cards that a team could look at each day, the share that had a fraud that day; the mean over the days.

    Each day the cards are ranked by their highest score; those that were found on an earlier day are left out; the first ``reviewed``
    are looked at (card precision top-k of the Fraud Detection Handbook, 2022). A payment of nobody (card 0) is left out.
    """
    found: set[int] = set()
    shares: list[float] = []
    for one in np.unique(day):
        mine = np.flatnonzero((day == one) & (card != 0))
        frauds = set(card[mine[y[mine] == 1]].tolist())
        looked_at: dict[int, None] = {}
        for row in mine[np.argsort(-scores[mine], kind="stable")]:
            if (number := int(card[row])) not in found:
                looked_at[number] = None
            if len(looked_at) == reviewed:
                break
        hit = frauds & looked_at.keys()
        found |= hit
        shares.append(len(hit) / reviewed)
    return float(np.mean(shares)) if shares else float("nan")


def interval(y: NDArray[np.int8], scores: Scores, measure: Measured, seed: int) -> tuple[float, float]:
    """Where a figure lies with 95 %: the percentile bootstrap (B. Efron, 1979), frauds and honest payments drawn apart.

    Drawn apart, no sample is without frauds, and their number, which the figure depends on, stays.
    """
    random = np.random.default_rng(seed)
    frauds, honest = np.flatnonzero(y == 1), np.flatnonzero(y == 0)
    values = []
    for _ in range(RESAMPLES):
        drawn = np.concatenate([random.choice(frauds, len(frauds)), random.choice(honest, len(honest))])
        values.append(measure(y[drawn], scores[drawn]))
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def figures(rows: Rows, scores: Scores, seed: int) -> dict[str, float | tuple[float, float]]:
    """AUC, average precision and card precision of a period, the first two with their intervals."""
    return {
        "auc_roc": auc_roc(rows.y, scores),
        "auc_roc_95": interval(rows.y, scores, auc_roc, seed),
        "average_precision": average_precision(rows.y, scores),
        "average_precision_95": interval(rows.y, scores, average_precision, seed),
        "card_precision_100": card_precision(rows.at // _DAY, rows.card, rows.y, scores),
    }
