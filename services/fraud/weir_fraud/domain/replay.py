"""A stored decision made again from what it keeps: its feature snapshot, by the model and the policy of its versions.

What decisions do not keep is taken from them as it is said there: of lists, that the payment had the device or payment token which
decided. Then it is looked at whether the version's list has such an entry, not which one it was.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.contributions import explained
from weir_fraud.domain.decision import Decision
from weir_fraud.domain.decline_corridor import after_halt
from weir_fraud.domain.model import ModelCard, Scored
from weir_fraud.domain.policy import Entity, EntityKind, Entry, ListKind
from weir_fraud.domain.policy_judgement import PolicyInForce
from weir_fraud.domain.policy_trial import NOT_STORED, entities_of_decision, facts_of_decision


@dataclass(frozen=True)
class Difference:
    """One place where the two are not the same; `pointer` is a JSON pointer, None stands for a member that is not there."""

    pointer: str
    stored: str | None
    recomputed: str | None


@dataclass(frozen=True)
class Replay:
    """A decision and what it is when it is made again. Both are canonical JSON."""

    decision: Decision
    stored: bytes
    recomputed: bytes
    not_stored: tuple[str, ...]
    """Kinds of entities that the decision names and does not keep."""

    @property
    def identical(self) -> bool:
        return self.stored == self.recomputed

    @property
    def differences(self) -> list[Difference]:
        """None of them exactly if the bytes are the same."""
        return [] if self.identical else list(_differences("", json.loads(self.stored), json.loads(self.recomputed)))


def vector_of(decision: Decision) -> list[float]:
    """The feature snapshot, in the order of the model's inputs."""
    return list(decision.contributions.values)


def replay(decision: Decision, scored: Scored, card: ModelCard, catalogue: Catalogue, policy: PolicyInForce) -> Replay:
    """`scored`: what the model of `card` says of the snapshot; `policy`: of the decision's version, compiled."""
    unknown = _not_stored(decision, policy)
    snapshot = replace(decision, score=scored.score)
    verdict = policy.judge(
        _in_order([*entities_of_decision(decision), *unknown]),
        lambda: facts_of_decision(snapshot),
        scored.score,
        card.thresholds,
        decision.decided_at,
        least=decision.least_outcome,
        stand_in=decision.by_stand_in,
    )
    # Whether declines were halted then is a fact of that moment, which the decision keeps.
    outcome, changed = after_halt(verdict.outcome, verdict.rule, decision.declines_halted)
    again = replace(
        decision,
        outcome=outcome,
        score=scored.score,
        margin=scored.margin,
        base=scored.base,
        contributions=explained(catalogue, card.features, vector_of(decision), scored.contributions),
        model_version=card.version,
        thresholds=verdict.thresholds,
        policy_version=verdict.policy_version,
        model_outcome=verdict.model_outcome,
        policy_rule=verdict.rule,
        policy_errors=verdict.errors,
        declines_halted=changed,
        announced_codes=None,
    )
    if not decision.is_explained:
        # As far as it goes by now: of its explanation nothing was said.
        again = replace(again, contributions=decision.contributions)
    return Replay(decision, canonical(decision), canonical(again), tuple(entity.kind.value for entity in unknown))


def canonical(decision: Decision) -> bytes:
    """What a decision says of its payment, as JSON: members in the order of their names, numbers to the last bit (the shortest
    text that gives the same double), no spaces. Features' values are among it, unknown ones as null."""
    return msgspec.json.encode(
        {
            "score": decision.score,
            "margin": decision.margin,
            "base_value": decision.base,
            "features": {
                part.feature: None if math.isnan(part.value) else part.value for part in decision.contributions
            },
            "contributions": {part.feature: part.contribution for part in decision.contributions}
            if decision.is_explained
            else None,
            "reason_codes": decision.reason_codes if decision.is_explained else None,
            "outcome": decision.outcome.value,
            "degraded": decision.degraded,
            "least_outcome": decision.least_outcome.value,
            "declines_halted": decision.declines_halted,
            "model_outcome": decision.model_outcome.value,
            "model_version": decision.model_version,
            "thresholds": decision.thresholds,
            "policy_version": decision.policy_version,
            "policy_rule": decision.policy_rule,
            "policy_errors": decision.policy_errors,
        },
        order="sorted",
    )


def _not_stored(decision: Decision, policy: PolicyInForce) -> list[Entity]:
    """The entity by which a list decided, if decisions do not keep its kind: any that the list has and that was in force."""
    list_name, separator, kind = (decision.policy_rule or "").partition(":")
    if not separator or kind not in NOT_STORED:
        return []
    entries: Sequence[Entry] = policy.policy.deny if list_name == ListKind.DENY else policy.policy.allow
    return [
        Entity(entry.kind, entry.protected[0])
        for entry in entries
        if entry.kind == kind and entry.protected and entry.is_in_force(decision.decided_at)
    ][:1]


_PLACES: Final = {kind: place for place, kind in enumerate(EntityKind)}


def _in_order(entities: list[Entity]) -> list[Entity]:
    """As `entities_of` has them: of two that a list names the first is the one that is told."""
    return sorted(entities, key=lambda entity: _PLACES[entity.kind])


def _differences(pointer: str, stored: Any, recomputed: Any) -> list[Difference]:
    if isinstance(stored, dict) and isinstance(recomputed, dict):
        names = [*stored, *(name for name in recomputed if name not in stored)]
        return [
            found
            for name in names
            for found in _differences(f"{pointer}/{name}", stored.get(name, _ABSENT), recomputed.get(name, _ABSENT))
        ]
    one, other = _text(stored), _text(recomputed)
    return [] if one == other else [Difference(pointer, one, other)]


_ABSENT: Final = object()


def _text(value: Any) -> str | None:
    return None if value is _ABSENT else json.dumps(value)
