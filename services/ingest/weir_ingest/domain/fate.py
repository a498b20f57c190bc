"""What became of an accepted event, as far as the consumers' positions and the vault tell."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Literal

import msgspec

STAGES: Final = (
    ("scored", "fraud.score"),
    ("checked", "anomaly.rules"),
    ("counted", "analytics.books"),
    ("archived", "analytics.lake.events"),
)
"""Stage and the consumer that does it. What has nothing to be scored in it is passed by, and done too."""


class FateState(StrEnum):
    """``unknown``: whoever does it does not answer now."""

    DONE = "done"
    PENDING = "pending"
    UNKNOWN = "unknown"


class Fate(msgspec.Struct, frozen=True):
    """One stage."""

    stage: str
    by: str
    state: FateState


class Erasure(msgspec.Struct, frozen=True):
    """Whether the event's personal data can still be read. ``state`` unknown: the vault does not answer now."""

    state: Literal["none", "done", "unknown"]
    meaning: str


NOT_ERASED: Final = Erasure("none", "Nobody asked for the erasure of the person that the event is about.")
ERASED: Final = Erasure(
    "done",
    "The key under which the event's personal data were sealed was destroyed: nobody can read them again, wherever copies are. "
    "What stays is the event without them.",
)
ERASURE_UNKNOWN: Final = Erasure("unknown", "Whether the key is still there cannot be said now.")


def fates_of(offset: int, next_offsets: Mapping[str, int]) -> list[Fate]:
    """In the order of ``STAGES``. ``next_offsets``: consumer → where it stands on the event's partition."""
    return [Fate(stage, consumer, _state(offset, next_offsets.get(consumer))) for stage, consumer in STAGES]


def _state(offset: int, next_offset: int | None) -> FateState:
    if next_offset is None:
        return FateState.UNKNOWN
    return FateState.DONE if offset < next_offset else FateState.PENDING
