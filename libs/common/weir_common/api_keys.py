"""API keys: ``weir_live_`` or ``weir_test_``, 30 base62 characters (178 bit), 6 base62 characters of CRC-32.

The checksum covers everything before it, so typos and scanners' noise are refused before any look-up. Only the SHA-256
of a key is ever stored: at 178 bits there is nothing to guess, so a slow hash would only cost time.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import zlib
from typing import Literal

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SHAPE = re.compile(r"weir_(live|test)_[0-9A-Za-z]{36}")


def generate_api_key(mode: Literal["live", "test"] = "live") -> str:
    """A new key; the caller shows it once and keeps only ``hash_api_key`` of it."""
    body = f"weir_{mode}_" + "".join(secrets.choice(_ALPHABET) for _ in range(30))
    return body + _checksum(body)


def is_well_formed(key: str) -> bool:
    """Shape and checksum; says nothing about whether the key is known."""
    return _SHAPE.fullmatch(key) is not None and _checksum(key[:-6]) == key[-6:]


def hash_api_key(key: str) -> str:
    """SHA-256 in hex, the only form in which a key is stored or sent on."""
    return hashlib.sha256(key.encode()).hexdigest()


def redact_api_key(key: str) -> str:
    """Prefix and last four characters, for lists and logs."""
    return f"{key[:10]}…{key[-4:]}"


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode())
    digits = ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = _ALPHABET[digit] + digits
    return digits
