"""From a micro-batch of one tenant's events to new states and hits. Pure: what was stored comes in, what to store goes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from weir_anomaly.domain.clock import TenantClock
from weir_anomaly.domain.entity import Entity, entity
from weir_anomaly.domain.event import Event
from weir_anomaly.domain.rule import ANY_SUBTYPE, Hit, Rule, State

CLOCK: Final = "clock"
"""Under this name the tenant's clocks are kept beside the states of the rules."""


class StateKey(NamedTuple):
    """Whose state: the rule's name and the entity."""

    rule: str
    entity: Entity


class Held(NamedTuple):
    """A state, the event time up to which it was written, and how often it has been stored.

    ``state`` is None where another version of the rule wrote it: the rule starts anew in its place.
    """

    state: State | None
    updated_at: float
    version: int = 0


@dataclass(frozen=True, slots=True)
class Woken:
    """An event with the rules that it wakes and the entities whose states they need."""

    event: Event
    rules: Sequence[tuple[Rule, Sequence[StateKey]]]
    clock_key: StateKey


class RuleHits(NamedTuple):
    """What one rule said about one event; ``late`` hits may join a finding but open none."""

    event: Event
    rule: Rule
    hits: Sequence[Hit]
    late: bool


@dataclass(slots=True)
class Outcome:
    """States that changed, by key, and hits in event order. ``watermark`` is the furthest clock of the batch."""

    states: dict[StateKey, Held] = field(default_factory=dict)
    hits: list[RuleHits] = field(default_factory=list)
    watermark: float = 0.0


class Engine:
    """Rules indexed by what wakes them: an event costs only the rules that it concerns."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules: Mapping[str, Rule] = {rule.name: rule for rule in rules}
        if len(self.rules) != len(rules):
            raise ValueError("two rules have the same name")
        self._rules = tuple(rules)
        self._woken_by: dict[tuple[str, str], tuple[Rule, ...]] = {}
        self._clocks: dict[int, StateKey] = {}

    def woken_by(self, event_type: str, subtype: str) -> tuple[Rule, ...]:
        """Rules for this kind of event, in the registry's order."""
        return tuple(
            rule
            for rule in self._rules
            if (event_type, subtype) in rule.wakes
            or (event_type, ANY_SUBTYPE) in rule.wakes
            or (ANY_SUBTYPE, ANY_SUBTYPE) in rule.wakes
        )

    def wake(self, event: Event) -> Woken:
        """Which rules look at the event, and which states they need."""
        kind = (event.type, event.subtype)
        rules = self._woken_by.get(kind)
        if rules is None:
            rules = self.woken_by(*kind)
            # Subtypes are the sender's words: the memory of them is bounded.
            if len(self._woken_by) < 4_096:
                self._woken_by[kind] = rules
        woken = []
        for rule in rules:
            entities = rule.entities(event)
            if entities:
                name = rule.name
                woken.append((rule, [StateKey(name, key) for key in entities]))
        clock_key = self._clocks.get(event.partition)
        if clock_key is None:
            clock_key = self._clocks[event.partition] = StateKey(CLOCK, entity("tenant", f"p{event.partition}"))
        return Woken(event, woken, clock_key)

    def fold(self, batch: Sequence[Woken], stored: Mapping[StateKey, Held]) -> Outcome:
        """Apply the events in order of event time (those of one time in order of arrival) to the stored states."""
        outcome = Outcome()
        states: dict[StateKey, Held] = outcome.states
        for woken in sorted(batch, key=_time_of):
            event = woken.event
            at = event.at
            late, watermark = self._tick(woken, states, stored)
            outcome.watermark = max(outcome.watermark, watermark)
            for rule, keys in woken.rules:
                known = [states.get(key) or stored.get(key) for key in keys]
                oldest = at - rule.state_seconds
                before: list[Any] = [
                    held.state if held is not None and held.updated_at >= oldest else None for held in known
                ]
                after, hits = rule.observe(before, event)
                if after is not before:
                    for key, held, old, new in zip(keys, known, before, after, strict=True):
                        if new is not old and new is not None:
                            states[key] = (
                                Held(new, at) if held is None else Held(new, max(at, held.updated_at), held.version)
                            )
                if hits:
                    outcome.hits.append(RuleHits(event, rule, hits, late))
        return outcome

    @staticmethod
    def _tick(woken: Woken, states: dict[StateKey, Held], stored: Mapping[StateKey, Held]) -> tuple[bool, float]:
        event = woken.event
        held = states.get(woken.clock_key) or stored.get(woken.clock_key)
        clock = held.state if held is not None else TenantClock()
        assert isinstance(clock, TenantClock)
        late = clock.is_late(event.at, event.accepted_at)
        moved = clock.advance(event.at, event.accepted_at)
        if moved is not clock:
            states[woken.clock_key] = Held(moved, moved.watermark, held.version if held is not None else 0)
        return late, moved.watermark


def _time_of(woken: Woken) -> float:
    return woken.event.at
