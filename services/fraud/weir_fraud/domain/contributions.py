"""What each input of a model contributed to a decision: the snapshot of its features and their shares, by column.

There are as many as the model has inputs and they are made for every payment, so they are kept as three tuples, not as an object each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, NamedTuple

from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.reason_code import GENERAL_SHOPPER_TEXT, ReasonCode

RETIRED: Final = ReasonCode("RETIRED_FEATURE", "A feature that is no longer defined", GENERAL_SHOPPER_TEXT)


class Contribution(NamedTuple):
    """One feature's share of the margin, in log-odds; `value` is nan where it is not known."""

    feature: str
    value: float
    contribution: float
    reason: ReasonCode


class Reason(NamedTuple):
    """A reason code with the sum of its features' contributions."""

    reason: ReasonCode
    contribution: float


@dataclass(frozen=True, slots=True)
class Inputs:
    """A model's inputs, in their order."""

    names: tuple[str, ...]
    reasons: tuple[ReasonCode, ...]
    """The code of each."""
    of_reason: tuple[tuple[ReasonCode, Callable[[Sequence[float]], float]], ...] = field(compare=False)
    """Of each code what adds up the shares of its inputs; in the order of the codes."""

    def __hash__(self) -> int:
        # What is kept of a model's inputs is looked for once a decision, and sixty reason codes are slow to hash.
        return hash(self.names)


@dataclass(frozen=True, slots=True)
class Contributions:
    """Of all inputs, in their order; shares are nan while they are not known."""

    inputs: Inputs
    values: tuple[float, ...]
    shares: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[Contribution]:
        return map(Contribution, self.inputs.names, self.values, self.shares, self.inputs.reasons)

    def by_reason(self) -> tuple[Reason, ...]:
        """Every reason code with its share, the ones that raise the risk most first."""
        reasons = [Reason(reason, total(self.shares)) for reason, total in self.inputs.of_reason]
        # Stable: of equal ones the code that comes first in the alphabet stays the first.
        reasons.sort(key=itemgetter(1), reverse=True)
        return tuple(reasons)


def contributions_of(parts: Iterable[Contribution]) -> Contributions:
    """The inverse of iterating."""
    names, values, shares, reasons = zip(*parts, strict=True)
    return Contributions(_inputs_with(names, reasons), values, shares)


def explained(
    catalogue: Catalogue, names: Sequence[str], values: Sequence[float], contributions: Sequence[float]
) -> Contributions:
    """Values and shares of the model's inputs, with the reason code of each. No shares: they are not known yet."""
    inputs = _inputs(catalogue, names if isinstance(names, tuple) else tuple(names))
    shares = tuple(contributions) or (math.nan,) * len(inputs.names)
    if not len(inputs.names) == len(values) == len(shares):
        raise ValueError(f"{len(inputs.names)} inputs have {len(values)} values and {len(shares)} contributions")
    return Contributions(inputs, tuple(values), shares)


@lru_cache(maxsize=256)
def _inputs(catalogue: Catalogue, names: tuple[str, ...]) -> Inputs:
    known = (catalogue.get(name) for name in names)
    return _inputs_with(names, tuple(RETIRED if feature is None else feature.reason for feature in known))


def _inputs_with(names: tuple[str, ...], reasons: tuple[ReasonCode, ...]) -> Inputs:
    places: dict[str, tuple[ReasonCode, list[int]]] = {}
    for place, reason in enumerate(reasons):
        places.setdefault(reason.code, (reason, []))[1].append(place)
    return Inputs(names, reasons, tuple((places[code][0], _total(places[code][1])) for code in sorted(places)))


def _total(places: Sequence[int]) -> Callable[[Sequence[float]], float]:
    take: Callable[[Sequence[float]], Any] = itemgetter(*places)
    # Of one place it gives the share itself. Half of the codes have one input, and a decision has thirty.
    return take if len(places) == 1 else lambda shares: math.fsum(take(shares))
