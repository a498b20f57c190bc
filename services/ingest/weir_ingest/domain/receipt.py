"""A receipt: the proof that an event is on the log."""

from __future__ import annotations

import msgspec
from weir_common.ids import SubjectId


class Receipt(msgspec.Struct, frozen=True):
    """Where and when an event was accepted. ``accepted_at`` is RFC 3339 UTC."""

    topic: str
    partition: int
    offset: int
    accepted_at: str


class KeptReceipt(msgspec.Struct, frozen=True):
    """With what its sender is not told: under whose key the event's personal data are sealed. None if there were none."""

    receipt: Receipt
    key_id: SubjectId | None = None
