"""Timeframes as people write them: ``1h``, ``24h``, ``7d``, ``30d``."""

from __future__ import annotations

import re
from datetime import timedelta

MAX_TIMEFRAME = timedelta(days=30)
"""Counts are kept a little longer than this."""

TIMEFRAME_PATTERN = (
    r"^((?:[5-9]|[1-9][0-9]{1,3}|[1-3][0-9]{4}|4[0-2][0-9]{3}|43[01][0-9]{2}|43200)m"
    r"|(?:[1-9][0-9]?|[1-6][0-9]{2}|7[01][0-9]|720)h|(?:[1-9]|[12][0-9]|30)d)$"
)
"""All of them, for documents."""
_SHAPE = re.compile(r"([1-9][0-9]{0,4})([mhd])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


def parse_timeframe(text: str) -> timedelta | None:
    """The length; None if the text is no timeframe, is shorter than five minutes or longer than 30 days."""
    match = _SHAPE.fullmatch(text)
    if match is None:
        return None
    length = int(match[1]) * _UNITS[match[2]]
    return length if timedelta(minutes=5) <= length <= MAX_TIMEFRAME else None
