"""A time in a query: RFC 3339 and nothing else, with its zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

from weir_common.problems import FieldError, InvalidRequest

TIME_SCHEMA: Final[dict[str, Any]] = {"format": "date-time"}
"""For ``json_schema_extra``; the parameter itself is a ``str``: pydantic's ``datetime`` would take numbers and dates, too."""

_TIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)


def read_time(parameter: str, text: str) -> datetime:
    """In UTC. Raises `InvalidRequest` that names the parameter."""
    # A plus sign that was not percent-encoded arrives as a space; there is no other way for one to be here.
    candidate = text.strip().replace(" ", "+")
    try:
        if _TIME.fullmatch(candidate):
            return datetime.fromisoformat(candidate.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise InvalidRequest(
        f"`{parameter}` is no time.",
        errors=[
            FieldError(
                parameter=parameter, expected="RFC 3339 with an offset, e.g. 2026-11-25T10:30:00Z", got=text[:100]
            )
        ],
    )
