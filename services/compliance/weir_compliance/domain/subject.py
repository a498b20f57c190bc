"""Whose data a request is about: identifiers, and their blind indexes."""

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass

# Hashed ids and cookies are far shorter; the bounds keep a request row and its gRPC message small.
MAX_IDENTIFIER_CHARACTERS = 512
MAX_IDENTIFIERS_OF_A_KIND = 50


@dataclass(frozen=True, slots=True, repr=False)
class Subject:
    """At least one identifier of one person, as the merchant knows it.

    Never in a log, a trace, the text of an error, or a workflow. A record is the subject's if it carries any
    identifier.
    """

    user_ids: tuple[str, ...] = ()
    anonymous_ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        values = [value for _, value in self.identifiers()]
        if not values:
            raise ValueError("a subject has at least one identifier")
        if not all(0 < len(value) <= MAX_IDENTIFIER_CHARACTERS for value in values):
            raise ValueError(f"an identifier has 1 to {MAX_IDENTIFIER_CHARACTERS} characters")
        if max(len(self.user_ids), len(self.anonymous_ids)) > MAX_IDENTIFIERS_OF_A_KIND:
            raise ValueError(f"a subject has at most {MAX_IDENTIFIERS_OF_A_KIND} identifiers of a kind")

    def identifiers(self) -> Iterator[tuple[str, str]]:
        """(kind, value) of each identifier."""
        for value in self.user_ids:
            yield "user_id", value
        for value in self.anonymous_ids:
            yield "anonymous_id", value

    def __repr__(self) -> str:
        return f"Subject({len(self.user_ids)} user ids, {len(self.anonymous_ids)} anonymous ids)"


def blind_indexes(key: bytes, subject: Subject) -> list[bytes]:
    """HMAC-SHA-256 of each identifier under the tenant's index key: finds a row without keeping the identifier."""
    return [
        hmac.digest(key, kind.encode() + b"\x00" + value.encode(), hashlib.sha256)
        for kind, value in subject.identifiers()
    ]
