"""The decision on a payment, with everything that explains and reproduces it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Final, NamedTuple

from weir_common.ids import EventId, SubjectId, TenantId

from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.model import ModelCard, Scored, Thresholds
from weir_fraud.domain.payment import Payment, PaymentKind
from weir_fraud.domain.reason_code import ReasonCode

MAX_REASONS: Final = 5
LEAST_REASON: Final = 0.05
"""Log-odds. What raises the margin by less is no reason that a person could act on; a score of 0.5 becomes 0.5125."""

RETIRED: Final = ReasonCode("RETIRED_FEATURE", "A feature that is no longer defined")


class Outcome(StrEnum):
    """What the merchant should do."""

    APPROVE = "approve"
    REVIEW = "review"
    DECLINE = "decline"


class Source(StrEnum):
    """Which way in made the decision."""

    HTTP = "http"
    GRPC = "grpc"
    STREAM = "stream"


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


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One for each payment event, for ever."""

    tenant_id: TenantId
    event_id: EventId
    transaction_id: str
    kind: PaymentKind
    subject: SubjectId
    user_id: str | None
    anonymous_id: str | None
    amount: Decimal | None
    currency: str | None
    event_timestamp: datetime
    decided_at: datetime
    outcome: Outcome
    score: float
    margin: float
    base: float
    contributions: tuple[Contribution, ...]
    """In the order of the model's inputs; with the values they are the feature snapshot."""
    model_version: str
    thresholds: Thresholds
    source: Source
    latency: timedelta
    """From the arrival of the payment at the service to the decision."""

    @cached_property
    def reasons(self) -> tuple[Reason, ...]:
        """Every reason code with its share, the ones that raise the risk most first; they sum with `base` to the margin."""
        codes: dict[str, ReasonCode] = {}
        shares: dict[str, list[float]] = {}
        for part in self.contributions:
            codes[part.reason.code] = part.reason
            shares.setdefault(part.reason.code, []).append(part.contribution)
        reasons = [Reason(codes[code], math.fsum(parts)) for code, parts in shares.items()]
        return tuple(sorted(reasons, key=lambda reason: (-reason.contribution, reason.reason.code)))

    @cached_property
    def reason_codes(self) -> tuple[str, ...]:
        """The codes that raise the risk, at most five, the strongest first."""
        return tuple(reason.reason.code for reason in self.reasons[:MAX_REASONS] if reason.contribution >= LEAST_REASON)


def outcome_of(score: float, thresholds: Thresholds) -> Outcome:
    """A score at a threshold is over it."""
    if score >= thresholds.decline:
        return Outcome.DECLINE
    return Outcome.REVIEW if score >= thresholds.review else Outcome.APPROVE


def explained(
    catalogue: Catalogue, names: Sequence[str], values: Sequence[float], contributions: Sequence[float]
) -> tuple[Contribution, ...]:
    """Names, values and shares of the model's inputs, with the reason code of each."""
    return tuple(
        Contribution(name, value, share, feature.reason if (feature := catalogue.get(name)) is not None else RETIRED)
        for name, value, share in zip(names, values, contributions, strict=True)
    )


def decide(
    payment: Payment,
    vector: Sequence[float],
    scored: Scored,
    *,
    card: ModelCard,
    catalogue: Catalogue,
    decided_at: datetime,
    latency: timedelta,
    source: Source,
) -> Decision:
    """The decision of one model on one payment."""
    return Decision(
        tenant_id=payment.tenant_id,
        event_id=payment.event_id,
        transaction_id=payment.transaction_id,
        kind=payment.kind,
        subject=payment.subject,
        user_id=payment.user_id,
        anonymous_id=payment.anonymous_id,
        amount=payment.amount,
        currency=payment.currency,
        event_timestamp=payment.at,
        decided_at=decided_at,
        outcome=outcome_of(scored.score, card.thresholds),
        score=scored.score,
        margin=scored.margin,
        base=scored.base,
        contributions=explained(catalogue, card.features, vector, scored.contributions),
        model_version=card.version,
        thresholds=card.thresholds,
        source=source,
        latency=latency,
    )
