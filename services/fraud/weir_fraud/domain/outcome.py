"""What the merchant should do, and what a score alone says of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from weir_fraud.domain.model import Thresholds


class Outcome(StrEnum):
    """What the merchant should do."""

    APPROVE = "approve"
    REVIEW = "review"
    DECLINE = "decline"


SEVERITY: Final = {Outcome.APPROVE: 0, Outcome.REVIEW: 1, Outcome.DECLINE: 2}


def severer(one: Outcome, other: Outcome) -> Outcome:
    """The one that lets less through."""
    return one if SEVERITY[one] >= SEVERITY[other] else other


def outcome_of(score: float, thresholds: Thresholds) -> Outcome:
    """A score at a threshold is over it."""
    if score >= thresholds.decline:
        return Outcome.DECLINE
    return Outcome.REVIEW if score >= thresholds.review else Outcome.APPROVE
