"""A shadow beside the model that decided: how often they agree, and what it would have sent to review and declined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from weir_fraud.domain.outcome import Outcome


class ShadowReport(NamedTuple):
    """Of some payments; each rate is a share of them, None of none."""

    payments: int
    agreement: float | None
    review_rate: float | None
    would_review_rate: float | None
    decline_rate: float | None
    would_decline_rate: float | None
    outcomes: Mapping[Outcome, Mapping[Outcome, int]]
    """Decided, then by the shadow."""


def shadow_report(counts: Mapping[tuple[Outcome, Outcome], int]) -> ShadowReport:
    """`counts`: payments by what was decided and what would have been."""
    payments = sum(counts.values())

    def share(part: int) -> float | None:
        return part / payments if payments else None

    def decided(outcome: Outcome) -> int:
        return sum(number for (was, _), number in counts.items() if was is outcome)

    def would(outcome: Outcome) -> int:
        return sum(number for (_, be), number in counts.items() if be is outcome)

    return ShadowReport(
        payments=payments,
        agreement=share(sum(number for (was, be), number in counts.items() if was is be)),
        review_rate=share(decided(Outcome.REVIEW)),
        would_review_rate=share(would(Outcome.REVIEW)),
        decline_rate=share(decided(Outcome.DECLINE)),
        would_decline_rate=share(would(Outcome.DECLINE)),
        outcomes={was: {be: counts.get((was, be), 0) for be in Outcome} for was in Outcome},
    )
