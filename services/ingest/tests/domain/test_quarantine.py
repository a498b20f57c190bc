"""What is said of a refused event in the open: coordinates, never values."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from weir_common.problems import FieldError
from weir_ingest.domain.quarantine import MAX_REASONS, quarantine_id_of, reasons_of, refusal_of, template_of
from weir_ingest.domain.validate import InvalidEvent, validate

EVENT_ID = "6f1e2d3c-0a9b-4c8d-9e7f-112233445566"
SECRET = "ada@example.com"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("pointer", "template"),
    [
        ("", ""),
        ("/items/0/price", "/items/*/price"),
        ("/items/10", "/items/*"),
        ("/a1/2b/3", "/a1/2b/*"),
        ("/0/1/2", "/*/*/*"),
        ("/" + "x" * 500, "/" + "x" * 199),
        ("/a\x00b/0", "/a\ufffdb/*"),
    ],
)
def test_list_indexes_have_one_name(pointer: str, template: str) -> None:
    assert template_of(pointer) == template


def test_the_same_mistake_in_many_items_is_one_reason() -> None:
    errors = [FieldError(f"/items/{index}/price", "a number", "x") for index in range(50)]
    assert [reason.pointer for reason in reasons_of(errors)] == ["/items/*/price"]
    many = [FieldError(f"/field_{index}", "a number") for index in range(50)]
    assert len(reasons_of(many)) == MAX_REASONS


def test_an_id_is_a_uuid_of_the_text() -> None:
    one, two = quarantine_id_of(bytes(range(32))), quarantine_id_of(bytes(range(1, 33)))
    assert (one.version, one.variant) == (8, "specified in RFC 4122")
    assert one == quarantine_id_of(bytes(range(32))) != two


@pytest.mark.parametrize(
    "document",
    [
        {"event_metadata": {"event_id": SECRET}, "schema_version": SECRET, "event_data": {"event_type": SECRET}},
        {"event_metadata": SECRET, "event_data": [SECRET]},
        {SECRET: SECRET, "event_data": {"user_context": SECRET}},
    ],
)
def test_a_value_in_the_place_of_an_identifier_is_not_shown(document: dict[str, Any]) -> None:
    refusal = refusal_of(b"", document, [])
    assert refusal is not None
    assert (refusal.event_id, refusal.event_type, refusal.schema_version, refusal.subjects) == ("", "", "", ())


def test_what_is_an_identifier_is_kept() -> None:
    document = {
        "schema_version": "2.1",
        "event_metadata": {"event_id": EVENT_ID},
        "event_data": {"event_type": "transaction", "user_context": {"user_id": "u1", "anonymous_id": "a1"}},
    }
    judged = validate(msgspec.json.encode(document), max_bytes=10_000)
    assert isinstance(judged, InvalidEvent)
    refusal = judged.refusal
    assert refusal is not None
    assert (refusal.event_id, refusal.event_type, refusal.schema_version) == (EVENT_ID, "transaction", "2.1")
    assert refusal.subjects == ("u1", "a1")
    assert refusal.reasons


@given(JSON)
def test_anything_refused_is_kept_whole_or_not_at_all(document: Any) -> None:
    text = msgspec.json.encode(document)
    judged = validate(text, max_bytes=100_000)
    assert isinstance(judged, InvalidEvent)
    assert (judged.refusal is not None) == isinstance(document, dict)
    if judged.refusal is not None:
        assert judged.refusal.text == text


def test_an_event_that_is_too_large_is_not_kept() -> None:
    judged = validate(b'{"a":"' + b"x" * 100 + b'"}', max_bytes=50)
    assert isinstance(judged, InvalidEvent)
    assert judged.refusal is None
