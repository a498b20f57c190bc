"""An event's JSON text as plain objects and lists, in which numbers keep the digits they were sent with."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from weir_common.events.rejection import EventRejected
from weir_common.problems import FieldError

MAX_DEPTH: Final = 64
"""Levels of objects and lists. The contract needs 10; a reader deep in its own stack must be able to skip the rest."""

MAX_SHOWN: Final = 120

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for text that is no JSON, or nested without end."""

TOO_DEEP: Final = FieldError("", f"at most {MAX_DEPTH} levels", "more")

# A Raw is written out as it came: 1.50 stays 1.50, and 1e309 needs no float.
_decoder: Final = msgspec.json.Decoder(float_hook=msgspec.Raw)


def document_of(raw: bytes | msgspec.Raw) -> dict[str, Any]:
    """The event's members; `EventRejected` if the text is not one JSON object."""
    try:
        document = _decoder.decode(raw)
    except UNREADABLE as error:
        raise EventRejected([unreadable(error)]) from error
    if not isinstance(document, dict):
        raise EventRejected([FieldError("", "object", shown(document))])
    return document


def unreadable(error: Exception) -> FieldError:
    """The one error of a text that cannot be read at all."""
    if isinstance(error, RecursionError):
        return TOO_DEEP
    return FieldError("", "a JSON object", str(error)[:MAX_SHOWN])


def escape(name: str) -> str:
    """A member's name as a token of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def shown(value: Any) -> str:
    """A value for an error message, cut to MAX_SHOWN characters."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"


def is_deeper(value: Any, levels: int) -> bool:
    """Whether there are more levels of objects and lists than ``levels``."""
    if isinstance(value, dict):
        return levels == 0 or any(is_deeper(inner, levels - 1) for inner in value.values())
    if isinstance(value, list):
        return levels == 0 or any(is_deeper(inner, levels - 1) for inner in value)
    return False
