"""What became of an accepted event, as far as the consumers' positions tell."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

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


def fates_of(offset: int, next_offsets: Mapping[str, int]) -> list[Fate]:
    """In the order of ``STAGES``. ``next_offsets``: consumer → where it stands on the event's partition."""
    return [Fate(stage, consumer, _state(offset, next_offsets.get(consumer))) for stage, consumer in STAGES]


def _state(offset: int, next_offset: int | None) -> FateState:
    if next_offset is None:
        return FateState.UNKNOWN
    return FateState.DONE if offset < next_offset else FateState.PENDING
