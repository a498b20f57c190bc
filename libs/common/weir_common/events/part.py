"""What every part of the event has in common, and the marks a member may carry beside its privacy."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Meta


class Part(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False, forbid_unknown_fields=True):
    """A part of the event. Strict, so that decoding notices what is unknown; `decode_event` sets that aside and keeps it."""


SINCE: Final = "since"
LOG_ONLY: Final = "log_only"

SINCE_2_2: Final = Meta(extra={SINCE: "2.2"}, extra_json_schema={"x-weir-since": "2.2"})
"""The member is new in 2.2: older schemas lack it."""

ON_THE_LOG_ONLY: Final = Meta(extra={LOG_ONLY: True}, extra_json_schema={"x-weir-log-only": True})
"""The member is ours: no sender may set it, no public schema has it."""
