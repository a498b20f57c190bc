"""From a sender's text to the event of the newest version, as it goes to the log.

Nearly every event takes the fast path: one strict decode. An event with unknown fields, or of a version with another shape,
is read again with more care. What is no event is refused with all its faults.
"""

from __future__ import annotations

from typing import Final

import msgspec

from weir_common.events import version_2_0
from weir_common.events.all_faults import errors_of
from weir_common.events.document import UNREADABLE, document_of, shown, unreadable
from weir_common.events.event import Event
from weir_common.events.ranges import in_range
from weir_common.events.rejection import EventRejected
from weir_common.events.repeated_names import may_repeat_names, repeats_names
from weir_common.events.shape import shape_of
from weir_common.events.unknown import set_aside
from weir_common.events.upcast import has_coordinates, upcast
from weir_common.events.versions import SCHEMA_VERSIONS, STRUCT_OF
from weir_common.http import field_error
from weir_common.problems import FieldError

_newest: Final = msgspec.json.Decoder(Event)
_oldest: Final = msgspec.json.Decoder(version_2_0.Event)


class DecodedEvent(msgspec.Struct, frozen=True, gc=False):
    """A valid event. ``unknown`` are the places of what its schema does not know, as pointers with ``*`` for list indexes."""

    event: Event
    sent_version: str
    unknown: tuple[str, ...] = ()


def decode_event(raw: bytes | msgspec.Raw) -> DecodedEvent:
    """The event of one JSON text, upcast; `EventRejected` with every fault if it is none, a name that occurs twice included."""
    try:
        decoded = _decode(raw)
    except EventRejected as rejected:
        raise EventRejected(errors_of(raw) or rejected.errors) from rejected
    if not in_range(decoded.event) or _repeats_a_name(raw, decoded):
        raise EventRejected(errors_of(raw))
    return decoded


def event_on_the_log(raw: bytes | msgspec.Raw) -> Event:
    """The event of a text that `encode_event` wrote. `msgspec.ValidationError` for anything else."""
    return _newest.decode(raw)


def _repeats_a_name(raw: bytes | msgspec.Raw, decoded: DecodedEvent) -> bool:
    return may_repeat_names(bytes(raw), decoded.event, names_added(decoded)) and repeats_names(raw)


def names_added(decoded: DecodedEvent) -> int:
    """How many names the event has that its sender did not write."""
    event = decoded.event
    added = 0 if event.unknown_fields is None else 1
    if decoded.sent_version == "2.0" and has_coordinates(event):
        added += 1
    return added


def _decode(raw: bytes | msgspec.Raw) -> DecodedEvent:
    """Raises `EventRejected` with any one fault."""
    try:
        event = _newest.decode(raw)
        if event.unknown_fields is None and event.sealed is None:
            return DecodedEvent(upcast(event), event.schema_version)
        # Otherwise a sender has a field of such a name, which is as unknown as any other.
    except msgspec.ValidationError as error:
        if "schema_version" in str(error) and (decoded := _decode_2_0(raw)) is not None:
            return decoded
    except UNREADABLE as error:
        raise EventRejected([unreadable(error)]) from error
    return _decode_with_unknown_fields(raw)


def _decode_2_0(raw: bytes | msgspec.Raw) -> DecodedEvent | None:
    try:
        return DecodedEvent(upcast(_oldest.decode(raw)), "2.0")
    except (*UNREADABLE, msgspec.ValidationError):
        return None


def _decode_with_unknown_fields(raw: bytes | msgspec.Raw) -> DecodedEvent:
    document = document_of(raw)
    version = document.get("schema_version")
    if version not in SCHEMA_VERSIONS:
        raise EventRejected([FieldError("/schema_version", "a known version", shown(version))])
    try:
        unknown = set_aside(document, shape_of(STRUCT_OF[version]), version)
        known = msgspec.json.encode(document)
        event = upcast(_oldest.decode(known) if version == "2.0" else _newest.decode(known))
    except msgspec.ValidationError as error:
        raise EventRejected([field_error(error)]) from error
    except RecursionError as error:
        raise EventRejected([unreadable(error)]) from error
    if unknown.fields:
        event.unknown_fields = unknown.fields
    return DecodedEvent(event, version, tuple(unknown.templates))
