"""Whether the books balance: received = what became of each, and accepted = what each consumer did.

A difference is told by where it lies:
- ``door``       events came in that have no fate: a fault of ingest,
- ``behind``     a consumer has not done all of a minute that is still young: it is on its way,
- ``missing``    a consumer has not done all of a minute that is settled: it is late by minutes, or events were lost,
- ``unanswered`` every consumer did the same number more than was answered for: ingest died between the log's
                 acknowledgement and its answer. The senders repeat those, and get duplicates. Nothing is wrong,
- ``repeated``   every consumer did less than was answered for, by as many as it dropped as repeats, and at least as many events of
                 earlier minutes are unanswered: those were sent again. Nothing is wrong. Repeats that no unanswered event
                 explains are missing like any others: a consumer that takes a new event for a repeat loses it,
- ``surplus``    a consumer did more than the others: events took effect twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

SETTLED_AFTER = timedelta(minutes=3)
"""A minute older than this has been done by every consumer that keeps up, and its entries have arrived."""
ACCEPTED = "accepted"


class Place(StrEnum):
    """Where a difference lies."""

    DOOR = "door"
    BEHIND = "behind"
    MISSING = "missing"
    UNANSWERED = "unanswered"
    REPEATED = "repeated"
    SURPLUS = "surplus"


HARMLESS = frozenset({Place.BEHIND, Place.UNANSWERED, Place.REPEATED})


@dataclass(frozen=True, slots=True)
class Done:
    """What a consumer did with the events of a minute."""

    applied: int = 0
    duplicates: int = 0
    quarantined: int = 0

    @property
    def events(self) -> int:
        """Different events that it has dealt with."""
        return self.applied + self.quarantined


@dataclass(frozen=True, slots=True)
class Difference:
    """``events`` above zero: more than there should be; ``consumer`` empty at the door."""

    place: Place
    events: int
    consumer: str = ""


@dataclass(frozen=True, slots=True)
class Minute:
    """A tenant's minute: the door's side, the consumers' side, and how they differ."""

    minute: datetime
    received: int
    fates: Mapping[str, int]
    consumers: Mapping[str, Done]
    differences: Sequence[Difference] = field(default_factory=tuple)

    @property
    def unanswered(self) -> int:
        """Events that every consumer has done and nobody was answered for."""
        return sum(one.events for one in self.differences if one.place is Place.UNANSWERED and not one.consumer)

    @property
    def repeated(self) -> int:
        """Events that were unanswered in an earlier minute."""
        return -sum(one.events for one in self.differences if one.place is Place.REPEATED)

    @property
    def balanced(self) -> bool:
        """No difference but harmless ones."""
        return all(difference.place in HARMLESS for difference in self.differences)


def balance(
    minute: datetime,
    received: int,
    fates: Mapping[str, int],
    consumers: Mapping[str, Done],
    *,
    expected: Sequence[str],
    now: datetime,
    unanswered_before: int = 0,
) -> Minute:
    """Compare the two sides. ``expected``: the consumers that must deal with every accepted event; ``unanswered_before``: how many
    events of earlier minutes are unanswered and have not come again yet."""
    differences: list[Difference] = []
    without_fate = received - sum(fates.values())
    if without_fate:
        differences.append(Difference(Place.DOOR, -without_fate))
    accepted = fates.get(ACCEPTED, 0)
    done = {name: consumers.get(name, Done()) for name in sorted({*expected, *consumers})}
    over = {name: one.events - accepted for name, one in done.items()}
    # A repeat bears the minute of its own acceptance, and its first copy, which took effect, an earlier one.
    repeats = max(0, min((min(-over[name], one.duplicates) for name, one in done.items()), default=0))
    repeated = min(repeats, unanswered_before)
    if repeated:
        differences.append(Difference(Place.REPEATED, -repeated))
        over = {name: difference + repeated for name, difference in over.items()}
    unanswered = max(0, min(over.values(), default=0))
    if unanswered:
        differences.append(Difference(Place.UNANSWERED, unanswered))
    somebody_is_short = any(difference < 0 for difference in over.values())
    for name, difference in over.items():
        if difference < 0:
            place = Place.MISSING if now - minute >= SETTLED_AFTER else Place.BEHIND
            differences.append(Difference(place, difference, name))
        elif difference > unanswered:
            # While another is short it cannot be told whether it will find as many; the one that is short is told anyway.
            place = Place.UNANSWERED if somebody_is_short else Place.SURPLUS
            differences.append(Difference(place, difference - unanswered, name))
    return Minute(minute, received, dict(fates), done, tuple(differences))
