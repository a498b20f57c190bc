"""The decision on a payment, with everything that explains and reproduces it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Final

from weir_common.ids import EventId, SubjectId, TenantId

from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.contributions import Contributions, Reason, explained
from weir_fraud.domain.decline_corridor import after_halt
from weir_fraud.domain.degradation import Degraded, in_order
from weir_fraud.domain.model import ModelCard, Scored, Thresholds
from weir_fraud.domain.outcome import Outcome
from weir_fraud.domain.payment import (
    Observation,
    Observed,
    Payment,
    PaymentKind,
    hash48,
    microseconds,
    observation_of,
    observed_of,
)
from weir_fraud.domain.policy import entities_of
from weir_fraud.domain.policy_facts import facts_of
from weir_fraud.domain.policy_judgement import PolicyInForce
from weir_fraud.errors import ExplanationError

MAX_REASONS: Final = 5
LEAST_REASON: Final = 0.05
"""Log-odds. What raises the margin by less is no reason that a person could act on; a score of 0.5 becomes 0.5125."""


class Source(StrEnum):
    """Which way in made the decision."""

    HTTP = "http"
    GRPC = "grpc"
    STREAM = "stream"


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
    contributions: Contributions
    """In the order of the model's inputs; with the values they are the feature snapshot. Shares are nan while it is not explained."""
    model_version: str
    thresholds: Thresholds
    """The policy's, where it has some, else the model's."""
    source: Source
    latency: timedelta
    """From the arrival of the payment at the service to the decision."""
    histories: tuple[bytes, ...] = ()
    """Whose histories the payment is in, one digest an entity (`Observed.digests`); none in decisions of before they were kept."""
    policy_version: int
    """0: the tenant has none."""
    model_outcome: Outcome
    """By the thresholds alone."""
    policy_rule: str | None
    """What decided: a rule's name, a list and kind such as `deny:device`, or None: the thresholds."""
    policy_errors: tuple[str, ...]
    """Rules that could not be evaluated on this payment."""
    country: str | None
    billing_country: str | None
    shipping_country: str | None
    declined: bool | None
    """Whether the payment was declined by others. None in decisions of before there were policies, whose countries are not known either."""
    degraded: tuple[Degraded, ...] = ()
    """What was otherwise than it should be; empty: nothing."""
    least_outcome: Outcome = Outcome.APPROVE
    """What the thresholds' outcome was raised to; above approve only in degraded decisions."""
    is_explained: bool = True
    """Whether the contributions are there; they come later if the explanation was deferred."""
    unobserved: Observation | None = field(default=None, compare=False)
    """The payment, if the histories may not have it yet. Only while the decision is new: it is kept beside it until they do."""
    declines_halted: bool = False
    """It would have been declined, had the tenant's share of declines not left its corridor."""
    announced_codes: tuple[str, ...] | None = field(default=None, compare=False)
    """The codes as they were stored and announced; None while the decision is new. A feature's reason may be another one later."""

    @property
    def observed(self) -> Observed | None:
        """Where the payment's observation is found, when a label comes; None if it is not known."""
        if not self.histories:
            return None
        return Observed(microseconds(self.event_timestamp), hash48("event", self.event_id), self.histories)

    @property
    def by_stand_in(self) -> bool:
        """Whether the request-only model stood in for the tenant's own: thresholds of the policy were not chosen for its scores."""
        return Degraded.FEATURES_UNAVAILABLE in self.degraded

    @cached_property
    def reasons(self) -> tuple[Reason, ...]:
        """Every reason code with its share, the ones that raise the risk most first; they sum with `base` to the margin.

        None while the decision is not explained (`is_explained`), which says nothing of its reasons.
        """
        if not self.is_explained:
            return ()
        return self.contributions.by_reason()

    @cached_property
    def reason_codes(self) -> tuple[str, ...]:
        """The codes that raise the risk, at most five, the strongest first."""
        if self.announced_codes is not None:
            return self.announced_codes
        return tuple(reason.reason.code for reason in self.reasons[:MAX_REASONS] if reason.contribution >= LEAST_REASON)


def explain(decision: Decision, scored: Scored, catalogue: Catalogue) -> Decision:
    """A decision whose explanation was deferred, with it. `ExplanationError` if the model says another thing of the snapshot now."""
    if (scored.score, scored.margin, scored.base) != (decision.score, decision.margin, decision.base):
        raise ExplanationError(
            f"{decision.model_version} gave {decision.event_id} the score {decision.score!r} and gives it {scored.score!r} now"
        )
    snapshot = decision.contributions
    return replace(
        decision,
        contributions=explained(catalogue, snapshot.inputs.names, snapshot.values, scored.contributions),
        is_explained=True,
        announced_codes=None,
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
    policy: PolicyInForce,
    degraded: Collection[Degraded] = (),
    least: Outcome = Outcome.APPROVE,
    declines_halted: bool = False,
) -> Decision:
    """The decision of one model and one policy on one payment.

    `least`: what the thresholds' outcome is raised to; `declines_halted`: the tenant's are.
    """
    told = in_order(degraded)
    without_histories = Degraded.FEATURES_UNAVAILABLE in told
    verdict = policy.judge(
        entities_of(payment),
        lambda: facts_of(payment, scored.score, card.features, vector, told),
        scored.score,
        card.thresholds,
        decided_at,
        least=least,
        stand_in=without_histories,
    )
    outcome, changed = after_halt(verdict.outcome, verdict.rule, declines_halted)
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
        outcome=outcome,
        score=scored.score,
        margin=scored.margin,
        base=scored.base,
        contributions=explained(catalogue, card.features, vector, scored.contributions),
        model_version=card.version,
        thresholds=verdict.thresholds,
        source=source,
        latency=latency,
        histories=observed_of(payment).digests,
        policy_version=verdict.policy_version,
        model_outcome=verdict.model_outcome,
        policy_rule=verdict.rule,
        policy_errors=verdict.errors,
        country=payment.country,
        billing_country=payment.billing_country,
        shipping_country=payment.shipping_country,
        declined=payment.declined,
        degraded=told,
        least_outcome=least,
        is_explained=bool(scored.contributions),
        unobserved=observation_of(payment) if without_histories else None,
        declines_halted=changed,
    )
