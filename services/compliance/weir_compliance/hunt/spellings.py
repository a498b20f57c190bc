"""Every way in which a store may have written a value down, as bytes: pure.

A value that was sealed, tokenised or dropped has none of them in any store.
"""

import base64
import hashlib
import html
import ipaddress
import json
import math
import re
import struct
import uuid
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, quote_plus

SHORTEST_SPELLING: Final = 6
"""Bytes; a shorter one would be found by chance."""

_NUMERIC: Final = re.compile(r"[+(]?\d[\d ()/.-]{6,}\d")
_DECIMAL: Final = re.compile(r"-?\d{1,3}\.\d{4,}")


def spellings(value: str, *, hashed: bool = False) -> dict[bytes, str]:
    """Each spelling with its name. ``hashed``: also unkeyed digests, which anybody who has the value can make again."""
    found: dict[bytes, str] = {}
    for name, spelled in _all(value, hashed):
        if len(spelled) >= SHORTEST_SPELLING:
            found.setdefault(spelled, name)
    return found


def _all(value: str, hashed: bool) -> Iterator[tuple[str, bytes]]:
    # The plain one first: an encoding that changes nothing must not give its name to it.
    yield "plain", value.encode()
    cases = {value.casefold(): "folded ", value.upper(): "upper ", value.lower(): "lower ", value: ""}
    for text, case in cases.items():
        yield case + "plain", text.encode()
        yield from _escaped(text, case)
        yield from _encoded(text.encode(), case)
    for encoding in ("utf-16-le", "utf-16-be"):
        yield encoding, value.encode(encoding)
    yield from _numeric(value)
    yield from _packed(value)
    if hashed:
        for text, case in cases.items():
            yield from _digests(text.encode(), case)


def _escaped(text: str, case: str) -> Iterator[tuple[str, bytes]]:
    escaped = json.dumps(text)[1:-1]
    yield case + "json", escaped.encode()
    unescaped = json.dumps(text, ensure_ascii=False)[1:-1]
    yield case + "json", unescaped.encode()
    yield case + "json", unescaped.replace("/", "\\/").encode()
    yield case + "json", re.sub(r"\\u[0-9a-f]{4}", lambda match: "\\u" + match[0][2:].upper(), escaped).encode()
    yield case + "json", escaped.replace("/", "\\/").encode()
    yield case + "json in json", json.dumps(escaped)[1:-1].encode()
    yield case + "html", html.escape(text).encode()
    for percent in (quote(text, safe=""), quote(text, safe="/:@"), quote(text), quote_plus(text)):
        yield case + "percent", percent.encode()
        yield case + "percent", re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), percent).encode()
        yield case + "percent twice", percent.replace("%", "%25").encode()


def _encoded(raw: bytes, case: str) -> Iterator[tuple[str, bytes]]:
    yield case + "hex", raw.hex().encode()
    yield case + "hex", raw.hex().upper().encode()
    for shift in range(3):
        # What stands before in the same text shifts the value by 0 to 2 bytes; the characters shared with neighbours go.
        text = base64.b64encode(bytes(shift) + raw)
        inner = text[math.ceil(shift * 8 / 6) : (shift + len(raw)) * 8 // 6]
        yield case + "base64", inner
        yield case + "base64", inner.translate(bytes.maketrans(b"+/", b"-_"))


def _numeric(value: str) -> Iterator[tuple[str, bytes]]:
    if _NUMERIC.fullmatch(value):
        digits = re.sub(r"\D", "", value)
        if len(digits) >= 8:
            yield "digits", digits.encode()
    if _DECIMAL.fullmatch(value):
        number = float(value)
        yield "number", repr(number).encode()
        yield "double", struct.pack("<d", number)
        yield "double", struct.pack(">d", number)


def _packed(value: str) -> Iterator[tuple[str, bytes]]:
    try:
        identifier = uuid.UUID(value)
    except ValueError:
        pass
    else:
        yield "uuid", identifier.bytes
        yield "uuid", identifier.hex.encode()
    try:
        # The four bytes of IPv4 are anywhere by chance.
        address = ipaddress.IPv6Address(value)
    except ValueError:
        return
    yield "ipv6", address.packed
    yield "ipv6", address.exploded.encode()
    yield "ipv6", address.compressed.encode()


def _digests(raw: bytes, case: str) -> Iterator[tuple[str, bytes]]:
    for name in ("md5", "sha1", "sha256", "sha512", "blake2b"):
        digest = hashlib.new(name, raw, usedforsecurity=False).digest()
        yield case + name, digest
        yield case + name, digest.hex().encode()
