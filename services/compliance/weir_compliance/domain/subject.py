"""Whose data a request is about: identifiers, and their blind indexes."""

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass

# Hashed ids, cookies and fingerprints are far shorter; the bound keeps a request row and its gRPC message small.
MAX_IDENTIFIER_CHARACTERS = 512


@dataclass(frozen=True, slots=True, repr=False)
class Subject:
    """At least one identifier of one person, as the merchant knows it. Never in a log, a trace, a message of an
    error, or a workflow.
    """

    user_id: str | None = None
    anonymous_id: str | None = None
    device_fingerprint: str | None = None

    def __post_init__(self) -> None:
        if not any(value for _, value in self.identifiers()):
            raise ValueError("a subject has at least one identifier")

    def identifiers(self) -> Iterator[tuple[str, str]]:
        """(kind, value) of each identifier that is present."""
        for kind, value in (
            ("user_id", self.user_id),
            ("anonymous_id", self.anonymous_id),
            ("device_fingerprint", self.device_fingerprint),
        ):
            if value:
                yield kind, value

    def __repr__(self) -> str:
        return f"Subject({', '.join(kind for kind, _ in self.identifiers())})"


def blind_indexes(key: bytes, subject: Subject) -> list[bytes]:
    """HMAC-SHA-256 of each identifier under the tenant's index key: finds a row without storing the identifier in
    clear.
    """
    return [
        hmac.digest(key, kind.encode() + b"\x00" + value.encode(), hashlib.sha256)
        for kind, value in subject.identifiers()
    ]
