"""What a policy makes of one payment. Precedence, the first that applies decides:

1. deny list: decline;
2. allow list: approve, whatever the score;
3. the enabled rules in their order, the first that matches: `decline` and `review` never let more through than the thresholds do,
   `approve` lowers a review, and a decline only if it says `override`;
4. the thresholds: the policy's, else the model's. What they say is raised to the least outcome of a degraded decision, which a list or rule
   may lower as it may lower theirs.

A rule that cannot be evaluated has not matched, and is named in the verdict. If it would have declined or asked for a review, the outcome
is a review at least: what nobody could tell is looked at by a person. It never raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from weir_fraud.domain.model import Thresholds
from weir_fraud.domain.outcome import Outcome, outcome_of, severer
from weir_fraud.domain.policy import NO_POLICY, NOTHING, Entity, Entry, ListKind, Policy, Rule

Facts = Mapping[str, Any]
"""What rules see of a payment, by name; what is not known is absent."""
Bound = Any
"""Facts as the conditions' language takes them, made once for all rules of a payment."""


class ConditionFailed(Exception):
    """A condition that has no answer on this payment."""


Condition = Callable[[Bound], bool]
"""A rule's expression, compiled. `ConditionFailed` if it has no answer."""
Bind = Callable[[Facts], Bound]
"""May raise `ConditionFailed`, too: then no rule has an answer."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`model_outcome` is by the thresholds alone. `rule`: a rule's name, or a list and kind such as `deny:device`; None: the thresholds."""

    outcome: Outcome
    model_outcome: Outcome
    thresholds: Thresholds
    policy_version: int
    rule: str | None = None
    errors: tuple[str, ...] = ()
    """Names of the rules that could not be evaluated."""


class PolicyInForce:
    """A version, compiled. Pure; of one tenant."""

    def __init__(self, version: int, policy: Policy, conditions: Sequence[Condition], bind: Bind) -> None:
        """One condition a rule, in the rules' order."""
        self.version = version
        self.policy = policy
        self._bind = bind
        self._rules: tuple[tuple[Rule, Condition], ...] = tuple(
            (rule, condition) for rule, condition in zip(policy.rules, conditions, strict=True) if rule.enabled
        )
        self._lists: Final = ((ListKind.DENY, _by_entity(policy.deny)), (ListKind.ALLOW, _by_entity(policy.allow)))

    def judge(
        self,
        entities: Iterable[Entity],
        facts: Callable[[], Facts],
        score: float,
        of_model: Thresholds,
        at: datetime,
        *,
        least: Outcome = Outcome.APPROVE,
        stand_in: bool = False,
    ) -> Verdict:
        """`at` is the time of the decision, by which entries expire. `facts` is asked only if there are rules to look at.

        `least`: of what the thresholds say. `stand_in`: the score is of a model that the policy's thresholds were not chosen for.
        """
        thresholds = of_model if stand_in else self.policy.thresholds or of_model
        by_score = outcome_of(score, thresholds)
        at_least = severer(by_score, least)
        listed = self._listed(entities, at)
        if listed is not None:
            kind, entity = listed
            outcome = Outcome.DECLINE if kind is ListKind.DENY else Outcome.APPROVE
            return Verdict(outcome, by_score, thresholds, self.version, f"{kind.value}:{entity.kind.value}")
        if not self._rules:
            return Verdict(at_least, by_score, thresholds, self.version)
        matched, failed = self._first_match(facts)
        outcome = at_least if matched is None else _after(matched, at_least)
        if any(rule.action is not Outcome.APPROVE for rule in failed):
            outcome = severer(outcome, Outcome.REVIEW)
        return Verdict(
            outcome,
            by_score,
            thresholds,
            self.version,
            None if matched is None else matched.name,
            tuple(rule.name for rule in failed),
        )

    def _listed(self, entities: Iterable[Entity], at: datetime) -> tuple[ListKind, Entity] | None:
        named = tuple(entities)
        for kind, entries in self._lists:
            for entity in named:
                entry = entries.get(entity)
                if entry is not None and entry.is_in_force(at):
                    return kind, entity
        return None

    def _first_match(self, facts: Callable[[], Facts]) -> tuple[Rule | None, list[Rule]]:
        """The rule that matched, and those before it that could not be evaluated."""
        try:
            bound = self._bind(facts())
        except ConditionFailed:
            return None, [rule for rule, _ in self._rules]
        failed: list[Rule] = []
        for rule, condition in self._rules:
            try:
                if condition(bound):
                    return rule, failed
            except ConditionFailed:
                failed.append(rule)
        return None, failed


def _after(rule: Rule, before: Outcome) -> Outcome:
    if rule.action is not Outcome.APPROVE:
        return severer(rule.action, before)
    return before if before is Outcome.DECLINE and not rule.override else Outcome.APPROVE


def _by_entity(entries: Sequence[Entry]) -> dict[Entity, Entry]:
    return {Entity(entry.kind, value): entry for entry in entries for value in entry.protected}


def _cannot_bind(facts: Facts) -> Bound:
    raise ConditionFailed("there is nothing to evaluate")


WITHOUT_POLICY: Final = PolicyInForce(NO_POLICY, NOTHING, (), _cannot_bind)
"""Of a tenant that has approved none."""
