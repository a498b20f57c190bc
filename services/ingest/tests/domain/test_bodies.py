"""Native batches, CloudEvents and lines: the same event, whatever it comes in."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from weir_common.problems import InvalidRequest, PayloadTooLarge
from weir_ingest.domain.bodies import SentEvent, UnsupportedMediaType, events_of, require_events
from weir_ingest.domain.validate import InvalidEvent

ID = "6f1e2d3c-0a9b-4c8d-9e7f-112233445566"
EVENT: dict[str, Any] = {
    "schema_version": "2.1",
    "tenant_id": "shop",
    "event_metadata": {"event_id": ID, "timestamp": "2026-01-15T10:30:00Z", "source_system": "web_app"},
    "event_data": {"event_type": "transaction", "event_subtype": "purchase"},
}
ATTRIBUTES = {"specversion": "1.0", "id": ID, "source": "/shop", "type": "com.example.transaction.purchase.v1"}


def encode(document: Any) -> bytes:
    return msgspec.json.encode(document)


def read(body: bytes, media_type: str, **headers: str) -> list[SentEvent]:
    return events_of(body, {"content-type": media_type, **headers})


def documents(events: list[SentEvent]) -> list[Any]:
    assert not any(isinstance(event, InvalidEvent) for event in events)
    return [msgspec.json.decode(event) for event in events]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        ("application/json", {"events": [EVENT]}),
        ("Application/JSON; charset=utf-8", {"events": [EVENT]}),
        ("application/cloudevents+json", {**ATTRIBUTES, "data": EVENT}),
        ("application/cloudevents+json", {**ATTRIBUTES, "data_base64": base64.b64encode(encode(EVENT)).decode()}),
        ("application/cloudevents-batch+json", [{**ATTRIBUTES, "data": EVENT}]),
        ("application/x-ndjson", EVENT),
        ("application/jsonl", EVENT),
    ],
)
def test_each_form_carries_the_same_event(media_type: str, body: Any) -> None:
    assert documents(read(encode(body), media_type)) == [EVENT]


def test_a_body_without_a_type_is_the_native_batch() -> None:
    assert documents(events_of(encode({"events": [EVENT]}), {})) == [EVENT]


def test_binary_cloudevents_have_their_attributes_in_headers() -> None:
    headers = {f"ce-{name}": value for name, value in ATTRIBUTES.items()}
    assert documents(read(encode(EVENT), "application/json", **headers)) == [EVENT]
    del headers["ce-source"]
    (event,) = read(encode(EVENT), "application/json", **headers)
    assert isinstance(event, InvalidEvent)
    assert event.errors[0].parameter == "ce-source"


def test_what_the_data_leave_out_the_attributes_fill_in() -> None:
    sent = {**ATTRIBUTES, "time": "2026-01-15T10:30:00Z", "dataschema": "https://weir.example/schemas/event/2.1"}
    (event,) = documents(read(encode({**sent, "data": {"tenant_id": "shop"}}), "application/cloudevents+json"))
    assert event == {**EVENT, "event_metadata": {**EVENT["event_metadata"], "source_system": "api"}}


@pytest.mark.parametrize(
    ("attribute", "value", "pointer"),
    [
        ("id", "00000000-0a9b-4c8d-9e7f-112233445566", "/id"),
        ("type", "com.example.transaction.refund", "/type"),
        ("dataschema", "https://weir.example/schemas/event/2.0", "/dataschema"),
        ("datacontenttype", "text/plain", "/datacontenttype"),
        ("specversion", "0.3", "/specversion"),
        ("data_base64", "not base64!", "/data_base64"),
        ("data", [1], "/data"),
    ],
)
def test_a_cloudevent_that_contradicts_itself_is_invalid_and_says_where(
    attribute: str, value: Any, pointer: str
) -> None:
    good = {**ATTRIBUTES, "data": EVENT}
    (event, other) = read(encode([{**good, attribute: value}, good]), "application/cloudevents-batch+json")
    assert isinstance(event, InvalidEvent)
    assert event.errors[0].pointer == pointer
    assert documents([other]) == [EVENT]


def test_an_id_in_capitals_is_the_same_id() -> None:
    sent = {**ATTRIBUTES, "id": ID.upper(), "data": EVENT}
    assert documents(read(encode(sent), "application/cloudevents+json")) == [EVENT]


def test_a_cloudevent_without_data_is_invalid() -> None:
    (event,) = read(encode(ATTRIBUTES), "application/cloudevents+json")
    assert isinstance(event, InvalidEvent)
    assert event.errors[0].pointer == "/data"


def test_lines_may_be_blank_end_with_cr_lf_and_hold_other_line_ends_in_strings() -> None:
    line = encode({"a": "x\u2028y\u0085z"})
    assert read(line + b"\r\n\n  \n" + line, "application/x-ndjson") == [line, line]


def test_a_bad_line_does_not_hide_the_others() -> None:
    events = read(b'{"broken": \n' + encode(EVENT), "application/x-ndjson")
    assert len(events) == 2


@pytest.mark.parametrize("media_type", ["text/csv", "application/xml", "multipart/form-data", ""])
def test_another_type_is_told_the_known_ones(media_type: str) -> None:
    with pytest.raises(UnsupportedMediaType) as caught:
        read(b"", media_type)
    assert "application/x-ndjson" in caught.value.headers["Accept"]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"events": {}}', b'{"events": [1', b"\xff\xfe", b'{"event": []}'])
def test_a_native_body_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read(body, "application/json")


@pytest.mark.parametrize("form", [b'{"events": [%s]}', b'[{"data": %s}]'])
def test_ten_thousand_levels_are_told_the_limit(form: bytes) -> None:
    deep = b"[" * 10_000 + b"]" * 10_000
    with pytest.raises(PayloadTooLarge) as caught:
        read(form % deep, "application/json" if form.startswith(b"{") else "application/cloudevents-batch+json")
    assert caught.value.extra == {"limit_depth": 400}


def test_four_hundred_levels_are_read() -> None:
    deep = b"[" * 400 + b"]" * 400
    assert len(read(b'{"events": [%s]}' % deep, "application/json")) == 1


def test_none_and_too_many_are_refused() -> None:
    with pytest.raises(InvalidRequest):
        require_events([], max_events=2)
    with pytest.raises(PayloadTooLarge) as caught:
        require_events([b"{}"] * 3, max_events=2)
    assert caught.value.extra == {"limit_events": 2}
    require_events([b"{}"] * 2, max_events=2)
