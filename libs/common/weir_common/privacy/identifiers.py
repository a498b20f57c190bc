"""By which identifiers a subject is found in the vault, and which of an event's subjects its originals are sealed for.

An identifier is its kind, a NUL and the value, so that a user and a cookie of the same text are two subjects.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final, NewType

from weir_common.events.event import Event
from weir_common.privacy.periods import day_of

Identifier = NewType("Identifier", str)

KIND_OF_FIELD: Final[Mapping[str, str]] = MappingProxyType({"user_id": "user", "anonymous_id": "visitor"})
"""The kind of each field whose handling is ``subject``."""


def user(user_id: str) -> Identifier:
    """A user as the merchant knows them."""
    return Identifier("user\0" + user_id)


def visitor(anonymous_id: str) -> Identifier:
    """Somebody who is known by a cookie only."""
    return Identifier("visitor\0" + anonymous_id)


def device(fingerprint: str) -> Identifier:
    """A device of which nobody knows whose it is."""
    return Identifier("device\0" + fingerprint)


def nobody(now: datetime) -> Identifier:
    """For events that are about nobody: one key a tenant and day.

    One for each such event would make the vault grow with the log, and none of them could ever be asked for: a request names a
    user, a visitor or a device. A day at 10,000 events a second stays below the 2³² texts that a key may seal.
    """
    return Identifier(f"nobody\0{day_of(now)}")


def identifiers_of(event: Event, now: datetime) -> tuple[Identifier, ...]:
    """Who an event is about, as `subject_of` has it: user, else visitor, else device, else nobody. Its originals are sealed for the first.

    A visitor beside a user follows it, because the log names both.
    """
    person = event.event_data.user_context
    if person is not None:
        user_id, anonymous_id = person.user_id, person.anonymous_id
        if user_id:
            return (user(user_id), visitor(anonymous_id)) if anonymous_id else (user(user_id),)
        if anonymous_id:
            return (visitor(anonymous_id),)
        session = person.session_data
        if session is not None and session.session_attributes is not None:
            fingerprint = session.session_attributes.device_fingerprint
            if fingerprint:
                return (device(fingerprint),)
    return (nobody(now),)
