"""What a rule is: a pure function from the states of the entities that an event touches to new states and hits.

A rule module gives one class with these members; ``registry.py`` names them all in one place. A rule never reads a clock:
event time comes with the event. States are frozen, bounded and versioned; the engine keeps them and hands them back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import msgspec

from weir_anomaly.domain.entity import Entity
from weir_anomaly.domain.event import Event
from weir_anomaly.domain.severity import Severity
from weir_anomaly.errors import StateUnreadable

ANY_SUBTYPE: Final = "*"
Wake = tuple[str, str]
"""(event type, subtype); subtype ``*`` wakes on all of the type."""


class State(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Parent of all states: msgpack arrays, small on disk. A change of fields is a new ``state_version`` of the rule."""


class Hit(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A rule's statement that something is wrong with ``entity``, with everything a person needs to judge it.

    ``observed`` and ``expected`` are in ``unit``; ``spread`` is how far honest cases reach from the expectation, None when
    the rule's bound is a fixed one. A hit fires at ``score`` ≥ ``threshold``. ``cleared_by`` is the nearest thing that would
    have kept the rule silent. ``layer`` says on which baseline it was judged: entity, tenant or peers.
    """

    entity: Entity
    severity: Severity
    window_start: float
    window_end: float
    observed: float
    expected: float
    unit: str
    score: float
    threshold: float
    cleared_by: str
    evidence: Mapping[str, Any]
    layer: str = "peers"
    spread: float | None = None
    suppressors: tuple[str, ...] = ()


Observation = tuple[Sequence[Any], Sequence[Hit]]


class Rule(ABC):
    """``name`` is the catalogue's; ``version`` rises with every change of what fires.

    ``quiet_seconds``: a finding closes when nothing has hit for so long. ``rest_seconds``: for so long after closing, hits
    count into the closed finding and open none. ``state_seconds``: a state older than this is forgotten. ``raised_by``:
    rules whose open finding on the same entity makes this rule's finding high. All in event time.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    family: ClassVar[str]
    title: ClassVar[str]
    decides: ClassVar[str]
    wakes: ClassVar[frozenset[Wake]]
    entity_kinds: ClassVar[tuple[str, ...]]
    state_type: ClassVar[type[State]]
    state_version: ClassVar[int]
    state_seconds: ClassVar[float]
    quiet_seconds: ClassVar[float]
    rest_seconds: ClassVar[float]
    raised_by: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def entities(self, event: Event) -> Sequence[Entity]:
        """Whose states the event touches, in the order in which ``observe`` wants them; empty when it is none of its business."""

    @abstractmethod
    def observe(self, states: Sequence[Any], event: Event) -> Observation:
        """``states`` are parallel to ``entities(event)``, None where there is none yet; so are the states given back.

        A state given back unchanged must be the same object, so that it need not be stored. Hits come with the broadest
        entity first: the engine keeps one finding per event and rule.
        """


class StateCodec:
    """States to bytes and back: one byte of version, then msgpack."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._decoders = {rule.name: (rule.state_version, msgspec.msgpack.Decoder(rule.state_type)) for rule in rules}

    def encode(self, rule: Rule, state: State) -> bytes:
        """At most a few kilobytes: every state type bounds its own members."""
        return bytes((rule.state_version,)) + self._encoder.encode(state)

    def decode(self, rule: str, raw: bytes) -> State | None:
        """None for a state of another version: the rule starts anew for that entity. ``StateUnreadable`` for garbage."""
        version, decoder = self._decoders[rule]
        if not raw or raw[0] != version:
            return None
        try:
            state: State = decoder.decode(raw[1:])
        except msgspec.DecodeError as error:
            raise StateUnreadable(f"a state of {rule} version {version} does not decode: {error}") from error
        return state
