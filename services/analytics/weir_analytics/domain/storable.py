"""Text from events, made fit for keys of the store without changing which texts are equal."""

from __future__ import annotations

import hashlib

LONGEST = 200
"""Characters. A btree entry of PostgreSQL holds at most 2,704 bytes; keys here join three texts of up to 4 bytes a character."""


def storable(text: str) -> str:
    """`text` without U+0000, which PostgreSQL cannot hold, and at most LONGEST characters long.

    A longer text keeps its beginning and gets the SHA-256 of the whole, so that two texts differ after if they did before.
    """
    if len(text) <= LONGEST and "\x00" not in text:
        return text
    clean = text.replace("\x00", "\ufffd")
    if len(clean) <= LONGEST:
        return clean
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{clean[: LONGEST - 65]}~{digest}"
