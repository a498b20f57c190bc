"""What a policy would have made of decisions that were made: the tally of a dry run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from weir_common.ids import EventId

from weir_fraud.domain.decision import Decision
from weir_fraud.domain.model import Thresholds
from weir_fraud.domain.outcome import Outcome
from weir_fraud.domain.policy import Entity, EntityKind, Policy
from weir_fraud.domain.policy_facts import facts_without_place
from weir_fraud.domain.policy_judgement import Facts, PolicyInForce, Verdict

MAX_EXAMPLES: Final = 20
NOT_STORED: Final = (EntityKind.DEVICE, EntityKind.PAYMENT_TOKEN)
"""Kinds that decisions do not keep: their entries match nothing in a dry run."""
_DAY: Final = timedelta(days=1)


class Changed(NamedTuple):
    """An example."""

    event_id: EventId
    before: Outcome
    after: Outcome
    policy_rule: str | None


class PolicyTrial:
    """Adds up one decision after the other; bounded, however many there are."""

    def __init__(self, policy: PolicyInForce) -> None:
        self._policy = policy
        self.evaluated = 0
        self.without_facts = 0
        self.before: Counter[Outcome] = Counter()
        self.after: Counter[Outcome] = Counter()
        self.changes: Counter[tuple[Outcome, Outcome]] = Counter()
        self.matched: Counter[str] = Counter()
        self.changed_by: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.examples: list[Changed] = []
        self.oldest: datetime | None = None

    def add(self, decision: Decision, of_model: Thresholds) -> Verdict:
        """Judge a stored decision as if the policy had been in force when it was made. `of_model`: the model's own thresholds."""
        verdict = self._policy.judge(
            entities_of_decision(decision),
            lambda: facts_of_decision(decision),
            decision.score,
            of_model,
            decision.decided_at,
            least=decision.least_outcome,
            stand_in=decision.by_stand_in,
        )
        self.evaluated += 1
        self.without_facts += decision.declined is None
        self.before[decision.outcome] += 1
        self.after[verdict.outcome] += 1
        self.errors.update(verdict.errors)
        self.oldest = decision.decided_at if self.oldest is None else min(self.oldest, decision.decided_at)
        changed = verdict.outcome is not decision.outcome
        if verdict.rule is not None:
            self.matched[verdict.rule] += 1
            self.changed_by[verdict.rule] += changed
        if changed:
            self.changes[(decision.outcome, verdict.outcome)] += 1
            if len(self.examples) < MAX_EXAMPLES:
                self.examples.append(Changed(decision.event_id, decision.outcome, verdict.outcome, verdict.rule))
        return verdict

    def rates(self, outcomes: Mapping[Outcome, int], span: timedelta) -> dict[str, float]:
        """Reviews a day, and the share that is declined."""
        return {
            "reviews_per_day": outcomes.get(Outcome.REVIEW, 0) / max(span / _DAY, 1 / 24),
            "decline_rate": outcomes.get(Outcome.DECLINE, 0) / max(self.evaluated, 1),
        }


def not_evaluated(policy: Policy) -> list[str]:
    """Kinds of entries that a dry run cannot look at."""
    named = {entry.kind for entry in (*policy.allow, *policy.deny)}
    return [kind.value for kind in NOT_STORED if kind in named]


def entities_of_decision(decision: Decision) -> tuple[Entity, ...]:
    """As far as they were stored."""
    values = (
        (EntityKind.USER, decision.user_id),
        (EntityKind.VISITOR, decision.anonymous_id),
        (EntityKind.COUNTRY, decision.country),
    )
    return tuple(Entity(kind, value) for kind, value in values if value)


def facts_of_decision(decision: Decision) -> Facts:
    """As the rules saw them; what a decision of before there were policies lacks is absent."""
    facts: dict[str, Any] = facts_without_place(
        score=decision.score,
        amount=decision.amount,
        currency=decision.currency,
        kind=decision.kind,
        at=decision.event_timestamp,
        features={part.feature: part.value for part in decision.contributions},
        degraded=decision.degraded,
    )
    if decision.declined is not None:
        facts |= {
            "country": decision.country or "",
            "billing_country": decision.billing_country or "",
            "shipping_country": decision.shipping_country or "",
            "declined": decision.declined,
        }
    return facts
