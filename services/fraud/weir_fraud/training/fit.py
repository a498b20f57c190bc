"""Fit the model, and refuse it unless both forms agree."""

from __future__ import annotations

import json
import math
from hashlib import sha256
from typing import Any, Final

import lightgbm
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.model import SCORE_TOLERANCE
from weir_fraud.errors import ModelRefused
from weir_fraud.training.data import Part

TREES: Final = 150
PARAMETERS: Final[dict[str, Any]] = {
    "objective": "binary",
    "learning_rate": 0.08,
    # Depth decides what an explanation costs (TreeSHAP: trees × leaves × depth²). On one machine, in one run, score and explanation of a payment:
    # these 0.30 ms at average precision 0.959, 150 trees of depth 3 with 8 leaves 0.24 ms at 0.955.
    "num_leaves": 12,
    "max_depth": 4,
    "min_data_in_leaf": 30,
    "lambda_l2": 5.0,
    "feature_fraction": 0.8,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 2,
    "verbose": -1,
}


def fit(part: Part, catalogue: Catalogue, seed: int) -> lightgbm.Booster:
    """A booster on the rows of a period. What a feature declares monotone is so in every tree."""
    names = list(catalogue.names())
    parameters = {
        **PARAMETERS,
        "seed": seed,
        "monotone_constraints": [feature.monotone for feature in catalogue.features.values()],
    }
    booster = lightgbm.train(parameters, lightgbm.Dataset(part.x, part.y, feature_name=names), num_boost_round=TREES)
    # As it will be loaded: the text form rounds nothing, but what is served is what was measured.
    return lightgbm.Booster(model_str=booster.model_to_string())


def scores_of(onnx_model: bytes, x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Scores by ONNX Runtime."""
    session = onnxruntime.InferenceSession(onnx_model, providers=["CPUExecutionProvider"])
    (margins,) = session.run(["margin"], {"features": x.astype(np.float64)})
    return np.asarray(1 / (1 + np.exp(-np.asarray(margins, dtype=np.float64)[:, 0])))


def refuse_unless_equal(booster: lightgbm.Booster, onnx_model: bytes, x: NDArray[np.float32], seed: int) -> float:
    """Largest difference of the scores of both forms, on the rows given and on rows with any feature unknown.

    `ModelRefused` if it is over the tolerance, or if contributions do not add up to the margin.
    """
    random = np.random.default_rng(seed)
    holes = x.copy()
    holes[random.random(x.shape) < 0.3] = math.nan
    rows = np.concatenate([x, holes])
    margins = np.asarray(booster.predict(rows, raw_score=True))
    expected = 1 / (1 + np.exp(-margins))
    worst = float(np.abs(scores_of(onnx_model, rows) - expected).max())
    if not worst <= SCORE_TOLERANCE:
        raise ModelRefused(f"ONNX and LightGBM differ by up to {worst:g}, allowed are {SCORE_TOLERANCE:g}")
    sample = rows[:: max(1, len(rows) // 2_000)]
    contributions = np.asarray(booster.predict(sample, pred_contrib=True))
    error = np.abs(contributions.sum(axis=1) - np.asarray(booster.predict(sample, raw_score=True))).max()
    if not error <= 1e-6:
        raise ModelRefused(f"contributions miss the margin by up to {error:g}")
    return worst


def version_of(model_text: str, onnx_model: bytes, thresholds: dict[str, float]) -> str:
    """Names the content: equal for equal decisions."""
    content = model_text.encode() + onnx_model + json.dumps(thresholds, sort_keys=True).encode()
    return f"fraud-{sha256(content).hexdigest()[:12]}"
