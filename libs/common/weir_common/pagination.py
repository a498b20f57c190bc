"""Opaque cursors: URL-safe base64 of a JSON list, the sort key of the last row shown."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final
from uuid import UUID

import msgspec

from weir_common.problems import FieldError, InvalidRequest

MAX_CURSOR_CHARACTERS: Final = 512
"""Ours are shorter than 200; nobody's nesting or digits are worth reading further."""
_MOST_SECONDS: Final = 2.0**40
"""The year 36812. NaN is not below it."""


def encode_cursor(key: list[Any]) -> str:
    """``key``: JSON-able sort key values of the last row of this page."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).rstrip(b"=").decode()


def decode_cursor(cursor: str, length: int) -> list[Any]:
    """The sort key; ``InvalidRequest`` unless it is a list of ``length`` values that ``encode_cursor`` made."""
    if len(cursor) > MAX_CURSOR_CHARACTERS:
        raise _bad_cursor(cursor)
    try:
        key = msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=list[Any])
    except (binascii.Error, ValueError, RecursionError, msgspec.DecodeError) as error:
        raise _bad_cursor(cursor) from error
    if len(key) != length:
        raise _bad_cursor(cursor)
    return key


def decode_time_and_id(cursor: str) -> tuple[float, str]:
    """The cursor of a list by time: seconds since 1970 and a UUID; ``InvalidRequest`` for anything else."""
    seconds, identity = decode_cursor(cursor, 2)
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not abs(seconds) < _MOST_SECONDS:
        raise _bad_cursor(cursor)
    try:
        return float(seconds), str(UUID(str(identity)))
    except ValueError:
        raise _bad_cursor(cursor) from None


def _bad_cursor(cursor: str) -> InvalidRequest:
    return InvalidRequest(
        "The cursor is not one that this endpoint gave out.",
        errors=[
            FieldError(parameter="cursor", expected="the value of next_cursor of an earlier page", got=cursor[:80])
        ],
    )
