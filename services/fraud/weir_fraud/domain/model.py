"""What a model says of a payment, and what is known of the model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from weir_fraud.domain.drift import Baselines

ADDITIVITY_TOLERANCE: Final = 1e-6
"""Relative to the larger of 1 and the margin; sums of doubles differ by about 1e-14."""
SCORE_TOLERANCE: Final = 1e-6
"""Between the score by ONNX Runtime, which sums in 32 bits, and that of the margin in 64 bits."""


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """Scores from which a payment is looked at by a person, and from which it is declined."""

    review: float
    decline: float


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    """What a model is and how good it is; `model.json` beside it."""

    version: str
    """Names the model's content: the same version always gives the same scores."""
    features: tuple[str, ...]
    """The order of its inputs."""
    thresholds: Thresholds
    files: dict[str, str]
    """SHA-256 of each file, in hex."""
    features_fingerprint: str
    """Of the feature definitions that it was trained on."""
    key: str
    """Digest of the training code and of the libraries that it ran with."""
    training: dict[str, Any]
    metrics: dict[str, Any]
    baselines: Baselines | None = None
    """None in cards of before there were any: nothing can be said of drift."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A score in [0, 1], its margin (log-odds), and what each input contributes to it (exact TreeSHAP).

    `base` is the model's expected margin (Lundberg et al., Nature Machine Intelligence 2, 2020: path-dependent TreeSHAP, the
    expectation over the training data); `base + sum(contributions) = margin`.
    """

    score: float
    margin: float
    base: float
    contributions: tuple[float, ...]
    """Empty: not explained."""


def explanation_fault(scored: Scored) -> str | None:
    """None when the explanation adds up to the margin and the margin agrees with the score; else what is wrong."""
    total = scored.base + math.fsum(scored.contributions)
    error = abs(total - scored.margin)
    # Written so that nan is a fault, too.
    if not error <= ADDITIVITY_TOLERANCE * max(1.0, abs(scored.margin)):
        return f"contributions add up to {total!r}, the margin is {scored.margin!r}"
    return score_fault(scored)


def score_fault(scored: Scored) -> str | None:
    """None when the margin agrees with the score; else what is wrong."""
    expected = probability(scored.margin)
    if not abs(expected - scored.score) <= SCORE_TOLERANCE:
        return f"the score is {scored.score!r}, the margin gives {expected!r}"
    return None


def probability(margin: float) -> float:
    """The logistic function, without overflow."""
    if margin >= 0:
        return 1 / (1 + math.exp(-margin))
    odds = math.exp(margin)
    return odds / (1 + odds)
