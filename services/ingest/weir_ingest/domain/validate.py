"""Decides whether an event is one, and brings it into the newest version, nothing dropped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from weir_common.consent import NOTHING, Refused
from weir_common.events import Event, EventRejected, decode_event
from weir_common.ids import EventId, TenantId
from weir_common.problems import FieldError

from weir_ingest.domain.consent import refused_by
from weir_ingest.domain.quarantine import Refusal, refusal_of

_MAX_GOT = 120


class ValidEvent(msgspec.Struct, frozen=True, gc=False):
    """A valid event in the newest version, with all that its sender wrote: not yet as the log may have it.

    ``unknown`` are the places of what its schema does not know, with ``*`` for list indexes: kept in the event, and drift.
    """

    event: Event
    event_id: EventId
    tenant_id: TenantId
    sent_version: str
    unknown: tuple[str, ...] = ()
    refused: Refused = NOTHING


class InvalidEvent(msgspec.Struct, frozen=True):
    """Why an event is refused. ``event_id`` and ``tenant_id`` as far as they can be read; ``refusal`` if it can be kept."""

    errors: tuple[FieldError, ...]
    event_id: str = ""
    tenant_id: str = ""
    refusal: Refusal | None = None


def validate(raw: bytes | msgspec.Raw, *, max_bytes: int) -> ValidEvent | InvalidEvent:
    """Judge one event's JSON text. Pointers in the errors are relative to the event."""
    size = len(memoryview(raw))
    if size > max_bytes:
        return _invalid(raw, [FieldError("", f"an event of at most {max_bytes} bytes", f"{size} bytes")], keep=False)
    try:
        decoded = decode_event(raw)
    except EventRejected as rejected:
        return _invalid(raw, rejected.errors)
    event = decoded.event
    return ValidEvent(
        event=event,
        event_id=EventId(str(event.event_metadata.event_id)),
        tenant_id=TenantId(event.tenant_id),
        sent_version=decoded.sent_version,
        unknown=decoded.unknown,
        refused=refused_by(event),
    )


def _invalid(raw: bytes | msgspec.Raw, errors: Sequence[FieldError], *, keep: bool = True) -> InvalidEvent:
    """As far as they can be read, whose event it seems to be and which."""
    try:
        document = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return InvalidEvent(tuple(errors))
    return InvalidEvent(
        tuple(errors),
        event_id=_text(_at(document, "/event_metadata/event_id")),
        tenant_id=_text(_at(document, "/tenant_id")),
        refusal=refusal_of(bytes(raw), document, errors) if keep else None,
    )


def _at(document: Any, pointer: str) -> Any:
    value = document
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value


def _text(value: Any) -> str:
    return value[:_MAX_GOT] if isinstance(value, str) else ""
