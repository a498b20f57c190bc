"""What is kept of an event that was refused, so that a person can see why, mend it and send it on its way.

In the open are only coordinates: which field, what was expected there, when and how often. The event itself, with whatever
personal data it holds, is sealed before it leaves the door.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, get_args
from uuid import UUID

import msgspec
from weir_common.problems import FieldError

EventType = Literal["user_interaction", "transaction", "system_event", "ml_inference"]
EVENT_TYPES: tuple[str, ...] = get_args(EventType)

MAX_REASONS = 20
"""More are counted under the first twenty: an event that is wrong everywhere is one mistake, not fifty."""
_INDEX = re.compile(r"/\d+(?=/|$)")
_VERSION = re.compile(r"\d{1,3}\.\d{1,3}")
_MAX_POINTER = 200


class HeldState(StrEnum):
    """``held``: waiting for somebody. ``replayed``: on the log now. ``discarded``: thrown away by somebody."""

    HELD = "held"
    REPLAYED = "replayed"
    DISCARDED = "discarded"


class Reason(msgspec.Struct, frozen=True, order=True):
    """One fault, without the value: ``pointer`` has ``*`` for list indexes, so that the same mistake has one name."""

    pointer: str
    expected: str


class Refusal(msgspec.Struct, frozen=True):
    """A refused event at the door: its text, and what may be said of it in the open."""

    text: bytes
    reasons: tuple[Reason, ...]
    event_id: str = ""
    event_type: str = ""
    schema_version: str = ""
    subjects: tuple[str, ...] = ()
    """Identifiers of the person it is about, as sent; never written anywhere."""


class RefusedEvent(msgspec.Struct, frozen=True):
    """The record on the log. ``sealed`` is the text under the tenant's key; ``subjects`` (keyed digests) find a person's events again."""

    quarantine_id: UUID
    tenant_id: str
    refused_at: datetime
    size: int
    reasons: list[Reason]
    sealed: bytes
    event_id: str = ""
    event_type: str = ""
    schema_version: str = ""
    subjects: list[bytes] = []


class HeldEvent(msgspec.Struct, frozen=True):
    """One entry of the quarantine. ``seen`` counts how often the very same text was refused."""

    quarantine_id: UUID
    state: HeldState
    event_id: str
    event_type: str
    schema_version: str
    reasons: list[Reason]
    size: int
    seen: int
    first_refused_at: datetime
    last_refused_at: datetime
    expires_at: datetime
    sealed: bytes | None = None
    """None once it was replayed or discarded."""


class ReasonTotal(msgspec.Struct, frozen=True):
    """How often one fault occurs among what is held: ``entries`` of the quarantine, ``events`` with every repeat."""

    pointer: str
    expected: str
    entries: int
    events: int
    first_refused_at: datetime
    last_refused_at: datetime


class Selection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which entries: by their ids, or all that have every property named. An empty one is a mistake, not "all"."""

    quarantine_ids: list[UUID] | None = None
    pointer: str | None = None
    expected: str | None = None
    event_type: EventType | None = None
    since: datetime | None = None
    until: datetime | None = None

    def is_empty(self) -> bool:
        """Whether it names nothing."""
        return all(getattr(self, name) is None for name in self.__struct_fields__)


def refusal_of(text: bytes, document: Any, errors: Sequence[FieldError]) -> Refusal | None:
    """What to keep of a refused event; None for what is no JSON object: nobody could mend it by a patch."""
    if not isinstance(document, dict):
        return None
    data = _member(document, "event_data")
    event_type = _member(data, "event_type")
    version = _member(document, "schema_version")
    event_id = _member(_member(document, "event_metadata"), "event_id")
    user = _member(data, "user_context")
    subjects = (_member(user, "user_id"), _member(user, "anonymous_id"))
    return Refusal(
        text=text,
        reasons=reasons_of(errors),
        # Only what has the form of an identifier: anything else in its place may be anything, an address for instance.
        event_id=str(_uuid(event_id) or ""),
        event_type=event_type if isinstance(event_type, str) and event_type in EVENT_TYPES else "",
        schema_version=version if isinstance(version, str) and _VERSION.fullmatch(version) else "",
        subjects=tuple(subject for subject in subjects if isinstance(subject, str) and subject),
    )


def reasons_of(errors: Sequence[FieldError]) -> tuple[Reason, ...]:
    """The faults by place and expectation, each once, in order."""
    found = dict.fromkeys(Reason(template_of(error.pointer), storable(error.expected)) for error in errors)
    return tuple(found)[:MAX_REASONS]


def template_of(pointer: str) -> str:
    """``/a/3/b`` → ``/a/*/b``; too long a pointer is cut."""
    return storable(_INDEX.sub("/*", pointer)[:_MAX_POINTER])


def storable(text: str) -> str:
    """Without the one character that PostgreSQL does not take: names in pointers are the sender's, and may hold any."""
    return text.replace("\x00", "\ufffd")


def quarantine_id_of(fingerprint: bytes) -> UUID:
    """The same text of the same tenant is the same entry, however often it is sent: UUID version 8 of its keyed digest."""
    digest = bytearray(fingerprint[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return UUID(bytes=bytes(digest))


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _uuid(value: Any) -> UUID | None:
    if not isinstance(value, str) or len(value) != 36:
        return None
    try:
        return UUID(value)
    except ValueError:
        return None
