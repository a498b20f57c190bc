"""CloudEvents 1.0 in its three HTTP forms. Its data is the event; its attributes fill in what the data leave out.

``id`` → event id, ``time`` → timestamp, ``type`` (``….transaction.purchase``) → type and subtype, ``dataschema`` (``…/2.1``)
→ schema version. Where both say it and disagree, the event is invalid: neither is right by guess.
Source: CloudEvents specification 1.0.2 and its HTTP protocol binding.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import unquote

import msgspec
from weir_common.events import SCHEMA_VERSION, EventRejected
from weir_common.events.all_faults import MAX_ERRORS
from weir_common.events.document import MAX_DEPTH, TOO_DEEP, document_of, is_deeper
from weir_common.events.repeated_names import repeated_names
from weir_common.http import decode_body, field_error
from weir_common.problems import FieldError

from weir_ingest.domain.validate import InvalidEvent

_TYPE = re.compile(
    r"(?:[A-Za-z0-9_-]+\.)*(?P<type>user_interaction|transaction|system_event|ml_inference)\.(?P<subtype>[a-z][a-z0-9_]{0,63})(?:\.v\d+)?"
)
_VERSION = re.compile(r".*/(?P<version>\d+\.\d+)")


class CloudEvent(msgspec.Struct):
    """The attributes that count here; extensions are allowed and ignored."""

    specversion: Literal["1.0"]
    id: str
    source: str
    type: str
    time: str | None = None
    dataschema: str | None = None
    datacontenttype: str | None = None
    data: msgspec.Raw = msgspec.Raw()
    data_base64: str | None = None


_one = msgspec.json.Decoder(CloudEvent)
_many = msgspec.json.Decoder(list[msgspec.Raw])


def structured(body: bytes | msgspec.Raw) -> bytes | InvalidEvent:
    """``application/cloudevents+json``: attributes and data in one object."""
    try:
        sent = _one.decode(body)
    except msgspec.ValidationError as error:
        return InvalidEvent((field_error(error),))
    except RecursionError:
        return InvalidEvent((TOO_DEEP,))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return InvalidEvent((FieldError("", "a CloudEvent as a JSON object", str(error)[:120]),))
    if sent.data_base64 is not None:
        try:
            return _event(sent, base64.b64decode(sent.data_base64, validate=True))
        except ValueError as error:  # also for characters beyond ASCII, which are no binascii.Error
            return InvalidEvent((FieldError("/data_base64", "base64", str(error)),), event_id=sent.id[:120])
    if not bytes(sent.data):
        return InvalidEvent((FieldError("/data", "the event (required)", "nothing"),), event_id=sent.id[:120])
    return _event(sent, bytes(sent.data))


def batch(body: bytes) -> list[bytes | msgspec.Raw | InvalidEvent]:
    """``application/cloudevents-batch+json``: an array of them."""
    return [structured(one) for one in decode_body(_many, body)]


def binary(body: bytes, headers: Mapping[str, str]) -> bytes | InvalidEvent:
    """Attributes in ``ce-*`` headers (percent-encoded), data as the body."""
    attributes = {name[3:]: unquote(value) for name, value in headers.items() if name.startswith("ce-")}
    try:
        sent = msgspec.convert(attributes, CloudEvent)
    except msgspec.ValidationError as error:
        fault = field_error(error)
        return InvalidEvent(
            (FieldError(parameter="ce-" + fault.pointer.removeprefix("/"), expected=fault.expected, got=fault.got),)
        )
    return _event(sent, body)


def _event(sent: CloudEvent, data: bytes) -> bytes | InvalidEvent:
    if sent.datacontenttype is not None and "json" not in sent.datacontenttype:
        return InvalidEvent(
            (FieldError("/datacontenttype", "application/json", sent.datacontenttype[:120]),), event_id=sent.id[:120]
        )
    try:
        event = document_of(data)  # numbers keep their digits, since what is filled in is written anew
    except EventRejected as rejected:
        return _invalid(sent, rejected.errors)
    if is_deeper(event, MAX_DEPTH):
        return _invalid(sent, [TOO_DEEP])
    errors: list[FieldError] = []
    changed = _fill(event, (), "schema_version", _schema_version(sent), "/dataschema", errors)
    changed |= _fill(event, ("event_metadata",), "event_id", sent.id, "/id", errors)
    changed |= _fill(event, ("event_metadata",), "timestamp", sent.time, "/time", errors, must_agree=False)
    changed |= _fill(event, ("event_metadata",), "source_system", "api", "", errors, must_agree=False)
    if match := _TYPE.fullmatch(sent.type):
        changed |= _fill(event, ("event_data",), "event_type", match["type"], "/type", errors)
        changed |= _fill(event, ("event_data",), "event_subtype", match["subtype"], "/type", errors)
    if errors:
        return InvalidEvent(tuple(errors), event_id=sent.id[:120])
    if not changed:
        return data
    # Written anew, a name that occurs twice would be there once, and nobody would see that its sender meant two things.
    repeated = repeated_names(data)
    if repeated:
        return _invalid(
            sent, [FieldError(name, "a name that occurs once", "the name again") for name in repeated[:MAX_ERRORS]]
        )
    return msgspec.json.encode(event)


def _invalid(sent: CloudEvent, errors: Sequence[FieldError]) -> InvalidEvent:
    """Errors of the data, with pointers into the CloudEvent."""
    return InvalidEvent(
        tuple(FieldError("/data" + error.pointer, error.expected, error.got) for error in errors),
        event_id=sent.id[:120],
    )


def _schema_version(sent: CloudEvent) -> str | None:
    if sent.dataschema is None:
        return None
    match = _VERSION.fullmatch(sent.dataschema)
    return match["version"] if match else None


def _fill(
    event: dict[str, Any],
    path: tuple[str, ...],
    name: str,
    value: str | None,
    attribute: str,
    errors: list[FieldError],
    *,
    must_agree: bool = True,
) -> bool:
    """Put ``value`` where the event says nothing. True if the event was changed."""
    part: Any = event
    for step in path:
        part = part.setdefault(step, {})
        if not isinstance(part, dict):
            return False  # the event's own validation says so, with the place
    if name not in part:
        if value is None:
            if name == "schema_version":
                value = SCHEMA_VERSION
            else:
                return False
        part[name] = value
        return True
    if must_agree and value is not None and isinstance(part[name], str) and part[name].lower() != value.lower():
        where = "/".join(("/data", *path, name))
        errors.append(FieldError(attribute, f"what {where} says: {part[name][:60]!r}", repr(value[:60])))
    return False
