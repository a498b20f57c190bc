"""The smallest change of one feature that would flip what the model says of a payment.

A tree model is constant between two thresholds of its splits on a feature, so all that a change of this feature can do is found by one
value an interval. How large a change is goes by the number of thresholds that lie between the old value and the new one: model cards do
not have the spread of the features in training.

What is not known stays so: there is no smaller or larger step away from it. And nothing that is known becomes unknown.
"""

from __future__ import annotations

import math
import struct
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from weir_fraud.domain.model import Thresholds
from weir_fraud.domain.outcome import SEVERITY, Outcome, outcome_of

MAX_CANDIDATES: Final = 20_000
"""Nearest first; a model of 150 trees has about 1,500. 0.1 s."""
_EXACT: Final = 2**24
"""32 bits have all whole numbers up to this."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One value of one feature; `place` is that of the feature in the vector."""

    place: int
    feature: str
    before: float
    after: float
    crossed: int
    """Thresholds of the model between the two."""


@dataclass(frozen=True, slots=True)
class Flip:
    """A change and what becomes of the payment by it."""

    change: Candidate
    outcome_before: Outcome
    outcome_after: Outcome
    score_after: float


def candidates(
    names: Sequence[str], vector: Sequence[float], splits: Mapping[str, Sequence[float]], limit: int = MAX_CANDIDATES
) -> list[Candidate]:
    """One for each interval of each feature that is known, the nearest first. `splits`: thresholds, ascending, a value at one is below it."""
    found = [
        Candidate(place, name, value, after, crossed)
        for place, (name, value) in enumerate(zip(names, vector, strict=True))
        if not math.isnan(value)
        for after, crossed in _values(value, splits.get(name, ()))
    ]
    found.sort(key=lambda one: (one.crossed, one.feature, abs(one.after - one.before)))
    return found[:limit]


def flips(score: float, thresholds: Thresholds, tried: Iterable[Candidate], scores: Iterable[float]) -> list[Flip]:
    """The smallest change of each feature that has one, the smallest of all first. `scores`: one a candidate, in their order.

    Declined: to be reviewed or approved. Reviewed: to be approved. Approved: to be reviewed, or declined if there is no step between.
    """
    before = outcome_of(score, thresholds)
    smallest: dict[str, Flip] = {}
    for change, after_score in zip(tried, scores, strict=True):
        after = outcome_of(after_score, thresholds)
        if _is_flip(before, after) and change.feature not in smallest:
            smallest[change.feature] = Flip(change, before, after, after_score)
    return list(smallest.values())


def _is_flip(before: Outcome, after: Outcome) -> bool:
    if before is Outcome.APPROVE:
        return after is not Outcome.APPROVE
    return SEVERITY[after] < SEVERITY[before]


def _values(value: float, thresholds: Sequence[float]) -> Iterable[tuple[float, int]]:
    """A value of each other interval and how many thresholds lie between."""
    own = bisect_left(thresholds, in_32_bits(value))
    for place in range(len(thresholds) + 1):
        if place == own:
            continue
        above = thresholds[place - 1] if place > 0 else -math.inf
        up_to = thresholds[place] if place < len(thresholds) else math.inf
        after = _lowest(above, up_to) if place > own else _highest(above, up_to)
        if after is not None:
            yield after, abs(place - own)


def _lowest(above: float, up_to: float) -> float | None:
    """Where one gets into an interval from below: its first whole number, else its first number of 32 bits, if it has one."""
    whole = math.floor(above) + 1
    if whole <= up_to and abs(whole) <= _EXACT:
        return float(whole)
    edge = in_32_bits(above)
    if edge <= above:
        edge = _next_up(edge)
    return edge if above < edge <= up_to else None


def _highest(above: float, up_to: float) -> float | None:
    """Where one gets into an interval from above."""
    whole = math.floor(up_to)
    if whole > above and abs(whole) <= _EXACT:
        return float(whole)
    edge = in_32_bits(up_to)
    if edge > up_to:
        edge = -_next_up(-edge)
    return edge if above < edge <= up_to else None


def in_32_bits(value: float) -> float:
    """As the model sees it."""
    (rounded,) = struct.unpack("<f", struct.pack("<f", value))
    return float(rounded)


def _next_up(value: float) -> float:
    """The next larger number of 32 bits."""
    if value == 0:
        return float(struct.unpack("<f", struct.pack("<i", 1))[0])
    (bits,) = struct.unpack("<i", struct.pack("<f", value))
    return float(struct.unpack("<f", struct.pack("<i", bits + 1 if value > 0 else bits - 1))[0])
