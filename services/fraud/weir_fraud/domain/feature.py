"""What a feature is: one declaration, from which its update, its read and its offline computation are made."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from weir_fraud.domain.aggregate import Aggregate, Window
from weir_fraud.domain.payment import Payment
from weir_fraud.domain.reason_code import ReasonCode

NAN = math.nan

Compute = Callable[[Payment, Sequence[float]], float]
"""The value, from the payment and the values of the feature's aggregates in their order; nan means that it is not known."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One input of the model.

    `compute` is pure, so the same payment and history give the same value online, in training and in a replay. `monotone`
    is what the model may learn: 1, more is never less risky; -1, the reverse; 0, anything.
    """

    name: str
    unit: str
    description: str
    reason: ReasonCode
    compute: Compute
    aggregates: tuple[Aggregate, ...] = ()
    monotone: Literal[-1, 0, 1] = 0


def windowed(
    name: str,
    *,
    unit: str,
    description: str,
    reason: ReasonCode,
    windows: Sequence[Window],
    aggregate: Callable[[Window], Aggregate],
    monotone: Literal[-1, 0, 1] = 0,
) -> tuple[Feature, ...]:
    """The same aggregate over several windows, as one feature each: `<name>_<window>`."""
    return tuple(
        Feature(
            name=f"{name}_{window.label}",
            unit=unit,
            description=f"{description}, over {window.label}",
            reason=reason,
            compute=_the_aggregate,
            aggregates=(aggregate(window),),
            monotone=monotone,
        )
        for window in windows
    )


def _the_aggregate(_: Payment, aggregates: Sequence[float]) -> float:
    return aggregates[0]
