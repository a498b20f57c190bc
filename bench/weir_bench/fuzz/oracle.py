"""What must be true of any bytes that reach the door: a known refusal that says why, or an event that stays the same for ever.

Raises ``AssertionError`` when it is not; every other exception that comes out of here is a fault of the code under test.
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import zstandard
from weir_common.events import EventRejected, decode_event, encode_event, event_on_the_log
from weir_common.problems import FieldError, Problem
from weir_ingest.domain.bodies import events_of, require_events
from weir_ingest.domain.compression import decompress
from weir_ingest.domain.validate import InvalidEvent, ValidEvent, validate

MAX_EVENT_BYTES: Final = 512 * 1_024
MAX_BODY_BYTES: Final = 1_048_576
MAX_SECONDS: Final = 2.0
"""A million times what an event takes; an input that takes longer has found a loop."""
_MAX_SHOWN: Final = 400

_CLOUD_EVENT: Final = {
    "ce-specversion": "1.0",
    "ce-id": "6f1e2d3c-0a9b-4c8d-9e7f-112233445566",
    "ce-source": "/shop",
    "ce-type": "shop.transaction.purchase",
}
FORMS: Final[tuple[Mapping[str, str], ...]] = (
    {"content-type": "application/json"},
    {"content-type": "application/cloudevents+json"},
    {"content-type": "application/cloudevents-batch+json"},
    {"content-type": "application/x-ndjson"},
    {"content-type": "application/json", **_CLOUD_EVENT},
)
CODINGS: Final = ("identity", "gzip", "zstd")


def check_request(data: bytes) -> None:
    """The first byte chooses: an event by itself, or a body in one of its forms, in a coding, already coded or still to be."""
    if not data:
        return
    choice, body = data[0], data[1:]
    if choice & 0x80:
        check_event(body)
        return
    coding = CODINGS[(choice >> 3) % len(CODINGS)]
    if choice & 0x40:
        body = coded(body, coding)
    check_body(body, FORMS[(choice & 0x07) % len(FORMS)], coding)


def coded(body: bytes, coding: str) -> bytes:
    """The body in its content coding."""
    if coding == "gzip":
        return gzip.compress(body, compresslevel=1)
    return zstandard.ZstdCompressor(level=1).compress(body) if coding == "zstd" else body


def check_body(body: bytes, headers: Mapping[str, str], coding: str) -> None:
    """A request's body from its bytes to its events, as the endpoint reads it."""
    started = time.perf_counter()
    try:
        plain = decompress(body, coding, max_bytes=MAX_BODY_BYTES)
        _hold(len(plain) <= MAX_BODY_BYTES, f"{len(plain)} bytes were decompressed")
        events = events_of(plain, headers)
        require_events(events, max_events=1_000)
    except Problem as problem:
        _hold(400 <= problem.status < 500, repr(problem))
        msgspec.json.encode(problem.document(instance="/", trace_id=""))
        _explained(problem.errors)
    else:
        for event in events:
            if isinstance(event, InvalidEvent):
                _explained(event.errors)
                _hold(event.errors, "refused without a reason")
            else:
                check_event(bytes(event))
    seconds = time.perf_counter() - started
    _hold(seconds < MAX_SECONDS, f"took {seconds:.1f} s")


def check_event(text: bytes) -> None:
    """One event's text: refused with reasons, or the same event however often it is written and read."""
    started = time.perf_counter()
    judged = validate(text, max_bytes=MAX_EVENT_BYTES)
    try:
        decoded = decode_event(text)
    except EventRejected as rejected:
        if not isinstance(judged, InvalidEvent):
            raise AssertionError("the door takes what decoding refuses") from rejected
        _hold(rejected.errors, "refused without a reason")
        _explained(rejected.errors)
        _explained(judged.errors)
    else:
        if len(text) > MAX_EVENT_BYTES:
            return
        if not isinstance(judged, ValidEvent):
            raise AssertionError(f"the door refuses what decoding takes: {judged}")
        encoded = encode_event(decoded.event)
        _hold(encode_event(judged.event) == encoded, "the door writes another event than decoding")
        _hold(encode_event(event_on_the_log(encoded)) == encoded, "written and read again it is another event")
        msgspec.json.decode(encoded)
    seconds = time.perf_counter() - started
    _hold(seconds < MAX_SECONDS, f"took {seconds:.1f} s")


def _hold(condition: object, otherwise: str) -> None:
    """An assertion that also holds when Python is told to skip them."""
    if not condition:
        raise AssertionError(otherwise)


def _explained(errors: Sequence[FieldError]) -> None:
    """Each error says what is right, can be written, and does not repeat a whole body."""
    for error in errors:
        _hold(error.expected, f"no word about what is right: {error}")
        _hold(len(error.got) <= _MAX_SHOWN, f"{len(error.got)} characters of what came")
        _hold(not error.pointer or error.pointer.startswith("/"), f"no pointer: {error.pointer}")
        msgspec.json.encode(error)
