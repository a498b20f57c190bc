"""A request that may be repeated: ``Idempotency-Key`` as in the IETF's draft-ietf-httpapi-idempotency-key-header."""

from __future__ import annotations

from enum import StrEnum
from hashlib import blake2b

import msgspec
from weir_common.problems import Conflict, FieldError, InvalidRequest

MAX_KEY_LENGTH = 255


class KeptAnswer(msgspec.Struct, frozen=True):
    """Status and JSON body of an answer that was given."""

    status: int
    body: msgspec.Raw


class ClaimState(StrEnum):
    """What the store knows of a key."""

    OURS = "ours"
    RUNNING = "running"
    DONE = "done"
    OTHER_REQUEST = "other_request"


class Claim(msgspec.Struct, frozen=True):
    """``answer`` when done."""

    state: ClaimState
    answer: KeptAnswer | None = None


def digest_of(query: str, body: bytes) -> str:
    """What makes two requests the same: their parameters and their body as it was read. Of 256 bits: stores make keys from it."""
    return blake2b(query.encode() + b"\0" + body, digest_size=32).hexdigest()


def check_key(key: str) -> None:
    """Raises when the key cannot be one."""
    if not key or len(key) > MAX_KEY_LENGTH or not key.isprintable():
        raise InvalidRequest(
            "The idempotency key is not usable.",
            status=400,
            errors=[
                FieldError(
                    parameter="Idempotency-Key", expected=f"1 to {MAX_KEY_LENGTH} printable characters", got=key[:60]
                )
            ],
        )


def refuse(state: ClaimState) -> None:
    """Raises when the request must not be done."""
    if state is ClaimState.RUNNING:
        raise Conflict(
            "A request with this Idempotency-Key is being answered; ask again in a moment.",
            slug="idempotency-key-in-use",
            headers={"Retry-After": "1"},
        )
    if state is ClaimState.OTHER_REQUEST:
        raise InvalidRequest(
            "This Idempotency-Key was used for another request; a new request needs a key of its own.",
            slug="idempotency-key-reused",
        )
