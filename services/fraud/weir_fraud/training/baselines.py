"""What the data looked like that a model was trained on: shares in bins, for telling later whether payments have moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from weir_fraud.domain.drift import Baseline, Baselines

BINS: Final = 10


def baselines_of(x: NDArray[np.float32], names: Sequence[str], scores: NDArray[np.float64]) -> Baselines:
    """`x` (rows, features), nan where not known, of the training period; `scores` of rows that the model was not fitted on."""
    return Baselines(
        rows=len(x),
        features={name: baseline_of(column.astype(np.float64)) for name, column in zip(names, x.T, strict=True)},
        score=baseline_of(scores),
    )


def baseline_of(values: NDArray[np.float64]) -> Baseline:
    """Ten bins with about as many values each, and one for nan. Fewer where many values are equal: an edge begins the bin of its value, so
    that a value that many rows have is in one bin whatever the rounding."""
    known = values[~np.isnan(values)]
    edges = np.unique(np.quantile(known, np.arange(1, BINS) / BINS, method="higher")) if len(known) else np.empty(0)
    # Below the least value there is nothing: such an edge would make a bin that is empty in training for ever.
    edges = edges[edges > known.min()] if len(known) else edges
    counts = np.bincount(np.searchsorted(edges, known, side="right"), minlength=len(edges) + 1)
    shares = np.append(counts, len(values) - len(known)) / max(len(values), 1)
    return Baseline(tuple(map(float, edges)), tuple(map(float, shares)))
