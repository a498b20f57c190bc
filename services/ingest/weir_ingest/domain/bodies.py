"""What a request's body may be: the native batch, CloudEvents 1.0 (structured, batched, binary) or NDJSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import msgspec
from weir_common.http import decode_body
from weir_common.problems import InvalidRequest, PayloadTooLarge, Problem

from weir_ingest.domain import cloudevents
from weir_ingest.domain.validate import InvalidEvent

RawEvent: TypeAlias = "bytes | msgspec.Raw"
SentEvent: TypeAlias = "RawEvent | InvalidEvent"
"""An event's JSON text, or why there is none."""


class UnsupportedMediaType(Problem):
    status = 415
    slug = "unsupported-media-type"
    title = "The body's type is not supported"


class Batch(msgspec.Struct):
    """``{"events": [...]}``; each event's text is kept as it was sent."""

    events: list[msgspec.Raw]


_batch = msgspec.json.Decoder(Batch)


def events_of(body: bytes, headers: Mapping[str, str]) -> list[SentEvent]:
    """The events of a body, by its ``Content-Type``. Raises a problem when the body as a whole cannot be read.

    One event that cannot be read never hides the others: it becomes an ``InvalidEvent`` in its place.
    """
    media_type = headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if "ce-specversion" in headers and media_type == "application/json":
        return [cloudevents.binary(body, headers)]
    reader = _READERS.get(media_type)
    if reader is None:
        raise UnsupportedMediaType(
            f"Content-Type '{media_type[:80]}' is not supported; there are {', '.join(_READERS)}.",
            headers={"Accept": ", ".join(_READERS)},
        )
    return reader(body)


def _native(body: bytes) -> list[SentEvent]:
    return [*decode_body(_batch, body).events]


def _lines(body: bytes) -> list[SentEvent]:
    # Only LF and CR LF end a line: other characters that Unicode calls line ends may stand in a JSON string.
    lines = [line.rstrip(b"\r") for line in body.split(b"\n")]
    return [line for line in lines if line.strip()]


_READERS: Mapping[str, Callable[[bytes], list[SentEvent]]] = {
    "application/json": _native,
    "application/cloudevents+json": lambda body: [cloudevents.structured(body)],
    "application/cloudevents-batch+json": cloudevents.batch,
    "application/x-ndjson": _lines,
    "application/jsonl": _lines,
}
"""By media type; the first is what a body without one is taken for."""


def require_events(events: list[SentEvent], *, max_events: int) -> None:
    """Raises when there are none, or too many."""
    if not events:
        raise InvalidRequest("The body holds no event.")
    if len(events) > max_events:
        raise PayloadTooLarge(
            f"A request may hold at most {max_events} events; this one holds {len(events)}.",
            extra={"limit_events": max_events},
        )


def sizes_of(events: list[SentEvent]) -> list[int]:
    """Bytes of each event's text; 0 where there is none."""
    return [0 if isinstance(event, InvalidEvent) else memoryview(event).nbytes for event in events]
