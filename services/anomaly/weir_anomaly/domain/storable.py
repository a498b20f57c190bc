"""Text that came with an event, made fit for keys and JSON columns.

PostgreSQL takes no NUL in text or jsonb, and an index entry holds some 2,700 bytes; a sender may send anything.
"""

from __future__ import annotations

import hashlib
from typing import Final

MAX_KEY_BYTES: Final = 200


def key_text(text: str) -> str:
    """``text`` if it is short and clean, else ``#`` and 128 bits of its hash: equal stays equal, different stays different."""
    if len(text) <= MAX_KEY_BYTES and text.isascii() and "\x00" not in text and not text.startswith("#"):
        return text  # nearly all are, and several are made an event
    raw = text.encode("utf-8", "surrogatepass")
    if len(raw) <= MAX_KEY_BYTES and b"\x00" not in raw and not text.startswith("#"):
        return text
    return "#" + hashlib.blake2b(raw, digest_size=16).hexdigest()


def shown_text(text: str, limit: int = 120) -> str:
    """For evidence that people read: at most ``limit`` characters, without NUL."""
    return text[:limit].replace("\x00", "\N{REPLACEMENT CHARACTER}")


def hash64(text: str) -> int:
    """Stable over processes (unlike ``hash``), signed 64 bits so that it fits a msgpack integer and a bigint."""
    return int.from_bytes(
        hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big", signed=True
    )
