"""What senders were promised stays so."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from weir_common.events import SCHEMA_VERSION, SCHEMA_VERSIONS, event_json_schema
from weir_common.events.compatibility import incompatibilities
from weir_common.events.snapshots import snapshot

Document = dict[str, Any]
PUBLISHED = [version for version in SCHEMA_VERSIONS if version != SCHEMA_VERSION]
NEW_IN_2_2 = {
    "TransactionContext": {"order_id", "return_context"},
    "Product": {"quantity"},
    "PaymentMethod": {"outcome", "decline_reason", "amount"},
    "CartValue": {"currency"},
    "TenantMetadata": {"merchant_category_code"},
    "SecurityContext": {"client_network", "http_status", "route"},
    "PageLoadMetrics": {"interaction_to_next_paint"},
}


def generated(version: str) -> Any:
    return json.loads(json.dumps(event_json_schema(version)))


def every_schema(schema: Any) -> Iterator[Document]:
    if isinstance(schema, dict):
        yield schema
        for inner in schema.values():
            yield from every_schema(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from every_schema(inner)


@pytest.mark.parametrize("version", PUBLISHED)
def test_a_published_schema_does_not_change(version: str) -> None:
    assert generated(version) == snapshot(version), (
        f"The structs no longer give the published schema {version}. A change of the contract needs a new version: "
        "mark a new field with its SINCE (part.py), and undo what else changed."
    )


def test_the_newest_schema_is_committed() -> None:
    assert generated(SCHEMA_VERSION) == snapshot(SCHEMA_VERSION), (
        f"The schema {SCHEMA_VERSION} changed. If you mean it: python -m weir_common.events.snapshots"
    )


def test_the_newest_takes_all_that_the_one_before_takes() -> None:
    broken = incompatibilities(snapshot(SCHEMA_VERSIONS[-2]), generated(SCHEMA_VERSION))
    assert not broken, f"Senders of {SCHEMA_VERSIONS[-2]} would be refused by {SCHEMA_VERSION}: " + "; ".join(broken)


def test_2_0_and_2_1_are_told_apart() -> None:
    place = "/event_data/user_context/session_data/session_attributes/geolocation"
    assert incompatibilities(snapshot("2.0"), snapshot("2.1")) == [f"{place}/lat: is gone", f"{place}/lon: is gone"]
    assert "ProcessingFlags" not in snapshot("2.0")["$defs"]
    assert "processing_flags" in snapshot("2.1")["$defs"]["EventMetadata"]["properties"]


def test_2_2_adds_what_it_says_and_no_more() -> None:
    before, after = snapshot("2.1")["$defs"], snapshot("2.2")["$defs"]
    assert after.keys() - before.keys() == {"ClientNetwork", "ReturnContext"}
    assert before.keys() <= after.keys()
    added = {name: after[name]["properties"].keys() - before[name]["properties"].keys() for name in before}
    assert {name: members for name, members in added.items() if members} == NEW_IN_2_2


def test_without_a_version_it_is_the_newest() -> None:
    assert event_json_schema() == event_json_schema("2.2")
    with pytest.raises(KeyError):
        event_json_schema("3.0")


@pytest.mark.parametrize("version", SCHEMA_VERSIONS)
def test_a_schema_is_one_and_shows_nothing_of_ours(version: str) -> None:
    schema = generated(version)
    Draft202012Validator.check_schema(schema)
    assert schema["$id"].endswith(f"/{version}")
    assert schema["$defs"]["Event"]["properties"]["schema_version"]["enum"] == [version]
    assert not {"unknown_fields", "sealed"} & set(schema["$defs"]["Event"]["properties"])
    assert "SealedOriginals" not in schema["$defs"]
    for part in every_schema(schema):
        assert "additionalProperties" not in part
        assert not {"x-weir-since", "x-weir-log-only"} & part.keys()
        assert version == SCHEMA_VERSION or "x-weir-privacy" not in part
    used = {part["$ref"].removeprefix("#/$defs/") for part in every_schema(schema) if "$ref" in part}
    assert used == schema["$defs"].keys()


def test_the_newest_names_the_policy_of_its_fields() -> None:
    parts = generated("2.2")["$defs"]
    assert parts["PaymentMethod"]["properties"]["tokenized_identifier"]["x-weir-privacy"] == "card"
    assert parts["UserContext"]["properties"]["user_id"]["x-weir-privacy"] == "subject"


@pytest.mark.parametrize("version", SCHEMA_VERSIONS)
def test_an_event_with_every_field_follows_its_schema(full: Document, full_2_0: Document, version: str) -> None:
    document = full_2_0 if version == "2.0" else full | {"schema_version": version}
    document = msgspec.json.decode(msgspec.json.encode(document | {"colour": "red"}))
    validator = Draft202012Validator(event_json_schema(version))
    assert list(validator.iter_errors(document)) == []
    document["event_data"]["event_subtype"] = "Purchase!"
    del document["tenant_id"]
    assert len(list(validator.iter_errors(document))) == 2


@pytest.mark.parametrize(
    ("amount", "valid"), [(19.9, True), ("19.90", True), (1e18, False), (-1e18, False), (True, False), ([], False)]
)
def test_an_amount_is_a_number_or_a_decimal_in_a_text(full: Document, amount: Any, valid: bool) -> None:
    document = msgspec.json.decode(msgspec.json.encode(full))
    trade = document["event_data"]["business_context"]["transaction_context"]
    trade["cart_context"]["cart_value"]["final_total"] = amount
    assert Draft202012Validator(event_json_schema()).is_valid(document) is valid


# ── each kind of break ──────────────────────────────────────────────────────────────────────────────────────────────────

OLD: Document = {
    "$ref": "#/$defs/Event",
    "$defs": {
        "Event": {
            "type": "object",
            "required": ["schema_version", "id"],
            "properties": {
                "schema_version": {"enum": ["1"]},
                "id": {"type": "string", "maxLength": 10, "minLength": 1},
                "kind": {"anyOf": [{"enum": ["a", "b"]}, {"type": "null"}], "default": None},
                "count": {"type": "integer", "minimum": 0, "maximum": 9},
                "amount": {"type": ["number", "string"]},
                "free": {},
                "code": {"type": "string"},
                "part": {"anyOf": [{"$ref": "#/$defs/Part"}, {"type": "null"}]},
                "parts": {"type": "array", "items": {"$ref": "#/$defs/Part"}},
            },
        },
        "Part": {"type": "object", "properties": {"x": {"type": "number"}}},
    },
}


def changed(part: str, member: str | None, **values: Any) -> Document:
    """OLD with keys of a part, or of a member of it, set (or with None, removed)."""
    schema = copy.deepcopy(OLD)
    target = schema["$defs"][part] if member is None else schema["$defs"][part]["properties"][member]
    for key, value in values.items():
        if value is None:
            del target[key]
        else:
            target[key] = value
    return schema


def added(name: str, schema: Document, *, required: bool = False) -> Document:
    new = copy.deepcopy(OLD)
    new["$defs"]["Event"]["properties"][name] = schema
    if required:
        new["$defs"]["Event"]["required"].append(name)
    return new


def removed(name: str) -> Document:
    new = copy.deepcopy(OLD)
    del new["$defs"]["Event"]["properties"][name]
    return new


@pytest.mark.parametrize(
    ("new", "told"),
    [
        (added("new", {"type": "string"}, required=True), ["/new: is now required"]),
        (changed("Event", None, required=["schema_version", "id", "code"]), ["/code: is now required"]),
        (changed("Part", None, required=["x"]), ["/part/x: is now required", "/parts/*/x: is now required"]),
        (removed("code"), ["/code: is gone"]),
        (changed("Event", None, additionalProperties=False), ["/: unknown fields are no longer allowed"]),
        (changed("Event", "kind", anyOf=[{"enum": ["a"]}, {"type": "null"}]), ["/kind: no longer b"]),
        (changed("Event", "kind", anyOf=[{"enum": ["a", "b"]}]), ["/kind: no longer null"]),
        (changed("Event", "kind", anyOf=[{"const": "a"}, {"type": "null"}]), ["/kind: no longer b"]),
        (changed("Event", "code", enum=["x", "y"]), ["/code: restricted to x, y"]),
        (changed("Event", "code", type="integer"), ["/code: no longer string"]),
        (changed("Event", "amount", type="number"), ["/amount: no longer string"]),
        (changed("Event", "amount", type=["integer", "string"]), ["/amount: no longer number"]),
        (changed("Event", "free", type="string"), ["/free: no longer array, boolean, integer, null, number, object"]),
        (changed("Event", "id", maxLength=9), ["/id: maxLength is now 9, was 10"]),
        (changed("Event", "id", minLength=2), ["/id: minLength is now 2, was 1"]),
        (changed("Event", "count", minimum=1), ["/count: minimum is now 1, was 0"]),
        (changed("Event", "count", maximum=8), ["/count: maximum is now 8, was 9"]),
        (changed("Event", "code", maxLength=9), ["/code: maxLength is now 9, was none"]),
        (changed("Event", "count", exclusiveMinimum=0), ["/count: exclusiveMinimum is now 0, was none"]),
        (changed("Event", "code", pattern="^x$"), ["/code: pattern is now ^x$, was none"]),
        (changed("Event", "code", format="uuid"), ["/code: format is now uuid, was none"]),
        (changed("Event", "parts", maxItems=3), ["/parts: maxItems is now 3, was none"]),
        (changed("Part", "x", type="integer"), ["/part/x: no longer number", "/parts/*/x: no longer number"]),
        (changed("Event", "part", anyOf=[{"type": "null"}]), ["/part: no longer object"]),
    ],
)
def test_a_break_is_told_with_its_place(new: Document, told: list[str]) -> None:
    assert incompatibilities(OLD, new) == told


@pytest.mark.parametrize(
    "new",
    [
        OLD,
        added("new", {"type": "string", "maxLength": 1}),
        changed("Event", None, required=["id"]),
        changed("Event", "schema_version", enum=["2"]),
        changed("Event", "kind", anyOf=[{"type": "null"}, {"enum": ["a", "b", "c"]}]),
        changed("Event", "kind", anyOf=[{"type": ["null", "string"]}]),
        changed("Event", "id", maxLength=11, minLength=0),
        changed("Event", "id", maxLength=None),
        changed("Event", "count", type="number"),
        changed("Event", "count", minimum=-1, maximum=None),
        changed("Event", "code", type=["string", "null"]),
        changed("Event", "parts", items=None),
        changed("Event", "code", type=None, anyOf=[{"type": "string", "maxLength": 1}, {"type": "string"}]),
        changed("Part", "x", type=["number", "string"]),
    ],
)
def test_what_only_allows_more_is_no_break(new: Document) -> None:
    assert incompatibilities(OLD, new) == []
