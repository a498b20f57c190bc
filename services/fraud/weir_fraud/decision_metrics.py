"""Counting what was decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from weir_common.telemetry import meter

from weir_fraud.domain.decision import Decision, Source
from weir_fraud.domain.outcome import SEVERITY, Outcome
from weir_fraud.domain.policy import NO_POLICY


class DecisionMetrics:
    """Each decision once, when it is stored; and how long callers waited."""

    def __init__(self, stored: Callable[[Sequence[Decision]], None] | None = None) -> None:
        """`stored` is told of the same decisions, once each: who else counts them."""
        self._stored = stored
        self._decisions = meter().create_counter(
            "weir.fraud.decisions", unit="{decision}", description="Decisions made, by outcome, tenant and way in"
        )
        self._by_policy = meter().create_counter(
            "weir.fraud.policy.decisions",
            unit="{decision}",
            description="Decisions made under a policy, by what it did to the outcome of the thresholds: kept, raised or lowered, and by "
            "what of it: deny, allow, rule, thresholds or error",
        )
        self._degraded = meter().create_counter(
            "weir.fraud.decisions.degraded",
            unit="{decision}",
            description="Decisions that were made while a part was away, by what was otherwise and by tenant",
        )
        self._policy_errors = meter().create_counter(
            "weir.fraud.policy.errors", unit="{rule}", description="Rules that could not be evaluated on a payment"
        )
        self._duration = meter().create_histogram(
            "weir.fraud.score.duration",
            unit="s",
            description="A decision, from the arrival of the payment until it is stored, explanation included",
        )
        self._batch_duration = meter().create_histogram(
            "weir.fraud.batch.duration",
            unit="s",
            description="The decisions on a batch of somebody who waits, from its arrival until they are stored",
        )
        self._together = meter().create_counter(
            "weir.fraud.score.together",
            unit="{call}",
            description="Calls of single payments that were decided on together with others, since there was no room to go alone",
        )
        self._lag = meter().create_histogram(
            "weir.fraud.decision.lag", unit="s", description="From the acceptance of an event to its decision"
        )

        self._history = meter().create_counter(
            "weir.fraud.history.payments",
            unit="{payment}",
            description="Imported payments of the past, which are not decided",
        )

    def remembered(self, count: int) -> None:
        """Payments went into histories only."""
        self._history.add(count)

    def made(self, decisions: Iterable[Decision]) -> None:
        """New decisions were stored."""
        new = list(decisions)
        if self._stored is not None:
            self._stored(new)
        made = Counter((decision.outcome, decision.source, decision.tenant_id) for decision in new)
        for (outcome, source, tenant_id), count in made.items():
            self._decisions.add(
                count,
                {
                    "weir.fraud.outcome": outcome.value,
                    "weir.fraud.source": source.value,
                    "weir.tenant.id": tenant_id,
                },
            )
        for decision in new:
            for one in decision.degraded:
                self._degraded.add(1, {"weir.fraud.degraded": one.value, "weir.tenant.id": decision.tenant_id})
            if decision.policy_version != NO_POLICY:
                self._by_policy.add(
                    1,
                    {
                        "weir.fraud.policy.effect": policy_effect(decision),
                        "weir.fraud.policy.part": policy_part(decision),
                        "weir.tenant.id": decision.tenant_id,
                    },
                )
            if decision.policy_errors:
                self._policy_errors.add(len(decision.policy_errors), {"weir.tenant.id": decision.tenant_id})

    def took(self, seconds: float, source: Source) -> None:
        """One payment was scored and stored (or a micro-batch of the stream)."""
        self._duration.record(seconds, {"weir.fraud.source": source.value})

    def took_batch(self, seconds: float, source: Source) -> None:
        """A batch of somebody who waits was scored and stored."""
        self._batch_duration.record(seconds, {"weir.fraud.source": source.value})

    def together(self, calls: int) -> None:
        """So many calls were one piece of work."""
        self._together.add(calls)

    def lagged(self, seconds: Iterable[float]) -> None:
        """Ages of events of the stream when they were decided."""
        for age in seconds:
            self._lag.record(max(0.0, age))


def policy_effect(decision: Decision) -> str:
    """What the policy did to the outcome of the thresholds."""
    # What a halt of declines did is not the policy's doing.
    outcome = Outcome.DECLINE if decision.declines_halted else decision.outcome
    by_score, after = SEVERITY[decision.model_outcome], SEVERITY[outcome]
    return "kept" if after == by_score else "raised" if after > by_score else "lowered"


def policy_part(decision: Decision) -> str:
    """What of the policy did it. Few values: names of rules are the tenants' own."""
    if decision.policy_rule is None:
        return "error" if decision.policy_errors else "thresholds"
    kind, separator, _ = decision.policy_rule.partition(":")
    return kind if separator else "rule"
