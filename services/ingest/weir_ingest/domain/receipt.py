"""A receipt: the proof that an event is on the log."""

from __future__ import annotations

import msgspec


class Receipt(msgspec.Struct, frozen=True):
    """Where and when an event was accepted. ``accepted_at`` is RFC 3339 UTC."""

    topic: str
    partition: int
    offset: int
    accepted_at: str
