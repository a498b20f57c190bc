"""How good scores are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from weir_fraud.domain.model import Thresholds
from weir_fraud.training.data import Part


def auc_roc(y: NDArray[np.int8], scores: NDArray[np.float64]) -> float:
    """Area under the ROC curve: the chance that a fraud scores higher than an honest payment, ties counted half."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    positives = int(y.sum())
    negatives = len(y) - positives
    return float((ranks[y == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def average_precision(y: NDArray[np.int8], scores: NDArray[np.float64]) -> float:
    """Sum of precision times the gain in recall over the thresholds, without interpolation."""
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(y[order])
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(y) - 1)  # equal scores share a threshold
    recall = hits[last] / hits[-1]
    precision = hits[last] / (last + 1)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def thresholds_for(y: NDArray[np.int8], scores: NDArray[np.float64], *, review: float, decline: float) -> Thresholds:
    """The scores that the given shares of honest payments reach or exceed."""
    honest = np.sort(scores[y == 0])[::-1]

    def at(share: float) -> float:
        # Just above the first honest score that must stay below.
        return float(np.nextafter(honest[int(share * len(honest))], 1.0))

    return Thresholds(review=at(review), decline=at(decline))


def report(part: Part, scores: NDArray[np.float64], thresholds: Thresholds) -> dict[str, Any]:
    """The figures of the model card, of one period."""
    y = part.y
    declined, flagged = scores >= thresholds.decline, scores >= thresholds.review
    scenarios = np.array(part.scenarios)
    tenants = np.array(part.tenants)
    return {
        "rows": len(y),
        "frauds": int(y.sum()),
        "auc_roc": auc_roc(y, scores),
        "average_precision": average_precision(y, scores),
        "brier_score": float(np.mean((scores - y) ** 2)),
        "decline": _at(y, declined),
        "review_or_decline": _at(y, flagged),
        "recall_by_scenario": {
            name: {"declined": float(declined[chosen].mean()), "flagged": float(flagged[chosen].mean())}
            for name in sorted(set(part.scenarios) - {""})
            if (chosen := scenarios == name).any()
        },
        "false_positive_rate_by_tenant": {
            name: float(flagged[(tenants == name) & (y == 0)].mean()) for name in sorted(set(part.tenants))
        },
    }


def _at(y: NDArray[np.int8], chosen: NDArray[np.bool_]) -> dict[str, float]:
    return {
        "precision": float(y[chosen].mean()) if chosen.any() else 1.0,
        "recall": float(chosen[y == 1].mean()),
        "false_positive_rate": float(chosen[y == 0].mean()),
    }
