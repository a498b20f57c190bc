"""How many replicas a tenant's consumers of one service need: one pure function from measurements to an explained plan.

Tenancy design, section b. Lag is in seconds and backlog in events; what cannot be measured holds the number as it is:
a missing value neither scales to the maximum nor to zero.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

UTILISATION = 0.7
DRAIN_SECONDS = 60.0


class Binding(StrEnum):
    """What keeps the plan from asking for more."""

    PLAN = "plan"
    PARTITIONS = "partitions"
    COST = "cost"
    REQUEST = "request"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Input:
    """One measurement. ``value`` None: it could not be taken, and ``source`` says why. ``age_s`` in seconds."""

    name: str
    value: float | None
    unit: str
    age_s: float | None
    source: str


@dataclass(frozen=True, slots=True)
class Step:
    """A formula with its numbers, and what came out."""

    formula: str
    result: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds the plan. ``cost_per_replica_hour`` and ``max_cost_per_hour`` in millionths of the currency."""

    minimum: int
    maximum: int
    plan_maximum: int
    partitions: int
    cost_per_replica_hour: int
    max_cost_per_hour: int


@dataclass(frozen=True, slots=True)
class Measurements:
    """``rate``: events a second; ``backlog``: events; ``seconds_per_event``: of one replica; ``age_s``: of the sample."""

    rate: float | None
    backlog: int | None
    lag_seconds: float | None
    seconds_per_event: float | None
    age_s: float | None
    current: int
    source: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What scaling would do, and why. ``hold``: a measurement is missing, so nothing changes."""

    inputs: Sequence[Input]
    steps: Sequence[Step]
    current: int
    proposed: int
    minimum: int
    maximum: int
    binding_constraint: Binding
    hold: bool
    lag_seconds_after: float | None
    cost_per_hour_delta: int
    risks: Sequence[str]

    def document(self) -> dict[str, Any]:
        """JSON members."""
        return asdict(self)

    @property
    def hash(self) -> str:
        """SHA-256 over the canonical JSON, in hex."""
        text = json.dumps(self.document(), sort_keys=True, separators=(",", ":"), default=str)
        return hashlib.sha256(text.encode()).hexdigest()


def required(measured: Measurements) -> int | None:
    """Replicas that the load needs, whatever is allowed; None when a measurement is missing, which means: hold."""
    needs = _needs(measured)
    return None if needs is None else max(needs)


def _needs(measured: Measurements) -> tuple[int, int] | None:
    """To keep up with the rate, and to drain the backlog in time."""
    rate, backlog, cost = measured.rate, measured.backlog, measured.seconds_per_event
    if rate is None or backlog is None or cost is None:
        return None
    return math.ceil(rate * cost / UTILISATION), math.ceil((rate + backlog / DRAIN_SECONDS) * cost)


def plan(measured: Measurements, limits: Limits) -> Plan:
    """The plan. ``proposed`` is always within [minimum, min(maximum, plan, partitions, cost)], unless it holds."""
    inputs = [
        Input("rate", measured.rate, "events/s", measured.age_s, measured.source),
        Input("backlog", measured.backlog, "events", measured.age_s, measured.source),
        Input("lag", measured.lag_seconds, "s", measured.age_s, measured.source),
        Input("seconds_per_event", measured.seconds_per_event, "s", measured.age_s, measured.source),
    ]
    ceilings = {
        Binding.REQUEST: limits.maximum,
        Binding.PLAN: limits.plan_maximum,
        Binding.PARTITIONS: limits.partitions,
        Binding.COST: limits.max_cost_per_hour // max(1, limits.cost_per_replica_hour),
    }
    ceiling = min(ceilings.values())
    narrowest = next(name for name, value in ceilings.items() if value == ceiling)
    maximum = max(limits.minimum, ceiling)
    steps = [
        Step(
            f"ceiling = min(requested {limits.maximum}, plan {limits.plan_maximum}, partitions {limits.partitions}, "
            f"cost {ceilings[Binding.COST]})",
            f"{ceiling} ({narrowest})",
        )
    ]
    needs = _needs(measured)
    rate, backlog, cost = measured.rate, measured.backlog, measured.seconds_per_event
    if needs is None or rate is None or backlog is None or cost is None:
        missing = ", ".join(each.name for each in inputs if each.value is None)
        steps.append(Step(f"missing: {missing}", f"hold at {measured.current}"))
        return Plan(
            inputs=inputs,
            steps=steps,
            current=measured.current,
            proposed=measured.current,
            minimum=limits.minimum,
            maximum=maximum,
            binding_constraint=Binding.NONE,
            hold=True,
            lag_seconds_after=None,
            cost_per_hour_delta=0,
            risks=["The load is not known: nothing is changed until it is."],
        )
    need_rate, need_lag = needs
    wanted = max(need_rate, need_lag, limits.minimum)
    proposed = min(max(wanted, limits.minimum), maximum)
    steps += [
        Step(f"need_rate = ceil({rate:.3f} · {cost:.6f} / {UTILISATION})", str(need_rate)),
        Step(f"need_lag = ceil(({rate:.3f} + {backlog} / {DRAIN_SECONDS:.0f}) · {cost:.6f})", str(need_lag)),
        Step(f"required = clamp(max({need_rate}, {need_lag}), {limits.minimum}, {maximum})", str(proposed)),
    ]
    spare = proposed / cost - rate if cost > 0 else math.inf
    risks: list[str] = []
    if wanted > maximum:
        risks.append(f"{wanted} replicas are needed and {maximum} allowed: the lag will grow.")
    if proposed != measured.current:
        risks.append("Each change of members costs a rebalance of a few seconds.")
    return Plan(
        inputs=inputs,
        steps=steps,
        current=measured.current,
        proposed=proposed,
        minimum=limits.minimum,
        maximum=maximum,
        binding_constraint=narrowest if wanted > maximum else Binding.NONE,
        hold=False,
        lag_seconds_after=None if spare <= 0 else round(backlog / spare, 3) if math.isfinite(spare) else 0.0,
        cost_per_hour_delta=(proposed - measured.current) * limits.cost_per_replica_hour,
        risks=risks,
    )
