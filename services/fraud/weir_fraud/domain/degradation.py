"""How a decision was made otherwise than it should be, when a part failed. Names are stable: rules, callers and consumers go by them."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum


class Degraded(StrEnum):
    """In the order in which a decision tells them."""

    FEATURES_UNAVAILABLE = "features_unavailable"
    """The histories did not answer in time: the request-only model decided, on what the payment's own event says."""
    MODEL_FALLBACK = "model_fallback"
    """The model that was to decide failed on the payment: the champion before it or the release's own decided."""
    EXPLANATION_DEFERRED = "explanation_deferred"
    """Too many waited: it was decided without its explanation, which is filled in afterwards."""


def in_order(found: Collection[Degraded]) -> tuple[Degraded, ...]:
    """Each once, in the order of their definition."""
    return tuple(one for one in Degraded if one in found)
