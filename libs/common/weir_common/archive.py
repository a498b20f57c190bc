"""How far the archive is: what analytics writes into the summary of each snapshot that it commits, and whoever reads the table finds there.

By partition of the log the first offset that the snapshot does not have (``weir.next-offset.<partition>``), and when the newest of its records was
accepted (``weir.accepted-until``). Written with the records in one commit: both or neither. A commit by somebody else (a compaction) carries
none, and changes nothing of it: then the newest one before it that does counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple, Protocol

NAMESPACE: Final = "weir"
"""Of the archive's tables, each named as its topic's events are: `events`, `decisions`."""
_NEXT_OFFSET: Final = "weir.next-offset."
_ACCEPTED_UNTIL: Final = "weir.accepted-until"


class Reached(NamedTuple):
    """How far a snapshot is."""

    next_offsets: Mapping[int, int]
    accepted_until: datetime | None
    """None: nothing was accepted yet."""


class OffsetsNotKept(Exception):
    """The snapshots that are still kept were all made by others, and those before them have expired: nobody knows how far the table is."""


class Summary(Protocol):
    """As pyiceberg has them; this module needs no more of it."""

    @property
    def additional_properties(self) -> Mapping[str, str]: ...


class Snapshot(Protocol):
    @property
    def summary(self) -> Summary | None: ...
    @property
    def parent_snapshot_id(self) -> int | None: ...


class Snapshots(Protocol):
    """A table."""

    def current_snapshot(self) -> Snapshot | None: ...
    def snapshot_by_id(self, snapshot_id: int) -> Snapshot | None: ...


def summary_of(reached: Reached) -> dict[str, str]:
    """The properties that a commit carries."""
    properties = {
        f"{_NEXT_OFFSET}{partition}": str(offset) for partition, offset in sorted(reached.next_offsets.items())
    }
    if reached.accepted_until is not None:
        properties[_ACCEPTED_UNTIL] = reached.accepted_until.isoformat()
    return properties


def reached_by(properties: Mapping[str, str]) -> Reached | None:
    """What a summary says; None if it is somebody else's."""
    offsets = {
        int(name.removeprefix(_NEXT_OFFSET)): int(value)
        for name, value in properties.items()
        if name.startswith(_NEXT_OFFSET)
    }
    if not offsets:
        return None
    until = properties.get(_ACCEPTED_UNTIL)
    return Reached(offsets, datetime.fromisoformat(until) if until else None)


def how_far(table: Snapshots) -> Reached | None:
    """By the newest snapshot that says so; None if the table is empty. `OffsetsNotKept`."""
    snapshot = table.current_snapshot()
    while snapshot is not None:
        summary = snapshot.summary
        found = reached_by(summary.additional_properties) if summary is not None else None
        if found is not None:
            return found
        parent = snapshot.parent_snapshot_id
        if parent is None:
            return None
        snapshot = table.snapshot_by_id(parent)
        if snapshot is None:
            raise OffsetsNotKept(f"snapshot {parent}, the next older one, is not kept any more")
    return None
