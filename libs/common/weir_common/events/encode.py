"""The text of an event as the log has it."""

from __future__ import annotations

from typing import Final

import msgspec

from weir_common.events.event import Event

_encoder: Final = msgspec.json.Encoder(decimal_format="number")


def encode_event(event: Event) -> bytes:
    """JSON with decimals as numbers; `event_on_the_log` reads the same event again."""
    return _encoder.encode(event)
