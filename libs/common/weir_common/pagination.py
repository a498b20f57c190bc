"""Opaque cursors: URL-safe base64 of a JSON list, the sort key of the last row shown."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from weir_common.problems import FieldError, InvalidRequest


def encode_cursor(key: list[Any]) -> str:
    """``key``: JSON-able sort key values of the last row of this page."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).rstrip(b"=").decode()


def decode_cursor(cursor: str, length: int) -> list[Any]:
    """The sort key; ``InvalidRequest`` unless it is a list of ``length`` values that ``encode_cursor`` made."""
    try:
        key = msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=list[Any])
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise _bad_cursor(cursor) from error
    if len(key) != length:
        raise _bad_cursor(cursor)
    return key


def _bad_cursor(cursor: str) -> InvalidRequest:
    return InvalidRequest(
        "The cursor is not one that this endpoint gave out.",
        errors=[
            FieldError(parameter="cursor", expected="the value of next_cursor of an earlier page", got=cursor[:80])
        ],
    )
