"""One byte string for one JSON value, so that a hash over it means something.

RFC 8785 (JSON Canonicalization Scheme), restricted to what audit leaves need: objects with ASCII keys, strings,
integers, booleans, null and lists. Floats are refused: their canonical text is the part of RFC 8785 that
implementations disagree on.
"""

import json


def canonical_json(value: object) -> bytes:
    """UTF-8 bytes: keys sorted, no white space, shortest escapes. Raises ValueError for anything that has no
    canonical form.
    """
    _check(value)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")  # a lone surrogate raises UnicodeEncodeError, which is a ValueError


def _check(value: object) -> None:
    if value is None or isinstance(value, str | bool | int):
        return
    if isinstance(value, dict):
        for key, member in value.items():
            if not isinstance(key, str) or not key.isascii():
                raise ValueError(f"the key {key!r} is not ASCII text")
            _check(member)
        return
    if isinstance(value, list | tuple):
        for member in value:
            _check(member)
        return
    raise ValueError(f"a canonical document cannot hold a {type(value).__name__}")
