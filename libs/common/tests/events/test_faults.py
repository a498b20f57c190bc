"""Every fault of an event is told, each with its place, what is right and what came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from weir_common.events import errors_of
from weir_common.events.all_faults import MAX_ERRORS
from weir_common.events.event import Event
from weir_common.events.shape import Leaf, leaves, shape_of
from weir_common.problems import FieldError

Document = dict[str, Any]
Put = Callable[[Document, str, Any], bytes]
SHOP = "/event_data/business_context/transaction_context"
LEAVES = dict(leaves(shape_of(Event)))


def test_a_valid_event_has_no_errors(full: Document, full_2_0: Document, least: Document) -> None:
    for document in (full, full_2_0, least, full | {"colour": "red"}):
        assert errors_of(msgspec.json.encode(document)) == []


def test_nothing_at_all_lacks_all_that_is_required() -> None:
    assert errors_of(b"{}") == [
        FieldError(f"/{name}", "a value (required)", "nothing")
        for name in ("schema_version", "tenant_id", "event_metadata", "event_data")
    ]
    assert [
        error.pointer
        for error in errors_of(b'{"schema_version":"2.1","tenant_id":"a","event_metadata":{},"event_data":{}}')
    ] == [
        "/event_metadata/event_id",
        "/event_metadata/timestamp",
        "/event_metadata/source_system",
        "/event_data/event_type",
        "/event_data/event_subtype",
    ]


def test_all_faults_are_told_in_the_schemas_order(full: Document, put: Put) -> None:
    put(full, f"{SHOP}/products/1/pricing/currency", "euro")
    put(full, f"{SHOP}/cart_context/cart_value/tax_breakdown", {"type": "vat"})
    put(full, "/event_metadata/event_id", "x")
    put(full, "/event_metadata/timestamp", "2026-11-25T10:30:00")
    put(full, "/ml_context/model_scores", [1])
    put(full, "/event_data/event_type", "sale")
    put(full, "/ml_context/feature_vectors/user_features", [1, "two", 3, {}])
    put(full, "/event_data/user_context/session_data/session_sequence", -1)
    put(full, "/event_data/event_subtype", None)
    raw = put(full, "/tenant_id", 5)
    raw = raw[:-1] + b',"ml_context":' + msgspec.json.encode(full["ml_context"]) + b"}"
    assert errors_of(raw) == [
        FieldError("/tenant_id", "str", "int"),
        FieldError("/event_metadata/event_id", "a UUID", '"x"'),
        FieldError("/event_metadata/timestamp", "datetime with a timezone component", '"2026-11-25T10:30:00"'),
        FieldError(
            "/event_data/event_type",
            "one of user_interaction, transaction, system_event, ml_inference",
            "'sale'",
        ),
        FieldError("/event_data/event_subtype", "str", "null"),
        FieldError("/event_data/user_context/session_data/session_sequence", "int >= 0", "-1"),
        FieldError(f"{SHOP}/products/1/pricing/currency", "str matching regex '^[A-Z]{3}$'", '"euro"'),
        FieldError(f"{SHOP}/cart_context/cart_value/tax_breakdown", "array", '{"type":"vat"}'),
        FieldError("/ml_context/feature_vectors/user_features/1", "float", "str"),
        FieldError("/ml_context/feature_vectors/user_features/3", "one value", "object"),
        FieldError("/ml_context/model_scores", "object", "[1]"),
        FieldError("/ml_context", "a name that occurs once", "the name again"),
    ]


@pytest.mark.parametrize("template", LEAVES)
def test_no_leaf_takes_an_object(full: Document, put: Put, template: str) -> None:
    pointer = template.replace("*", "1")
    error = FieldError(pointer, "one value", "object")
    if template == "/schema_version":
        error = FieldError(pointer, "one of 2.0, 2.1, 2.2", '{"x":1}')
    assert errors_of(put(full, pointer, {"x": 1})) == [error]


@pytest.mark.parametrize("template", [name for name, leaf in LEAVES.items() if leaf.choices])
def test_a_fault_of_choice_names_the_choices(full: Document, put: Put, template: str) -> None:
    (error,) = errors_of(put(full, template.replace("*", "0"), "other"))
    assert error.expected.startswith("one of ")
    assert set(error.expected.removeprefix("one of ").split(", ")) >= set(LEAVES[template].choices)


def test_what_is_long_is_cut(full: Document, put: Put) -> None:
    (error,) = errors_of(put(full, "/partition_key", "x" * 100_000))
    assert error.expected == "str of length <= 1024"
    assert len(error.got) <= 121


def test_many_faults_are_told_by_the_first(full: Document, put: Put) -> None:
    raw = put(full, "/ml_context/feature_vectors/user_features", ["x"] * 1_000)
    assert [error.pointer.rpartition("/")[2] for error in errors_of(raw)] == [str(n) for n in range(MAX_ERRORS)]


def test_every_leaf_has_a_type_of_its_own() -> None:
    assert all(isinstance(leaf, Leaf) for leaf in LEAVES.values())
    assert len(LEAVES) > 200
