"""What holds for every event: it comes back from the log as it went, upcasting loses nothing, and errors and decoding agree."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from msgspec import inspect
from weir_common.events import (
    EventRejected,
    decode_event,
    encode_event,
    errors_of,
    event_json_schema,
    event_on_the_log,
    version_2_0,
)
from weir_common.events.event import Event
from weir_common.events.quotation_marks import quotation_marks_of
from weir_common.problems import FieldError

Document = dict[str, Any]
encode = msgspec.json.encode
few = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
many = settings(few, max_examples=250)

TEXTS = {
    r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$(?!\n)": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,20}", fullmatch=True),
    r"^[a-z][a-z0-9_]{0,63}$(?!\n)": st.sampled_from(["purchase", "page_view", "a"]),
    r"^[A-Z]{2}$(?!\n)": st.sampled_from(["DE", "US"]),
    r"^[A-Z]{3}$(?!\n)": st.sampled_from(["EUR", "JPY"]),
    r"^[0-9]{4}$(?!\n)": st.sampled_from(["5411", "0000"]),
}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
NAMES = st.text(alphabet='xyzÄ/~"\\ ', min_size=1, max_size=3)


def values(kind: Any) -> st.SearchStrategy[Any]:
    """JSON values of a type."""
    match kind:
        case inspect.Metadata(type=inner):
            return values(inner)
        case inspect.UnionType(types=kinds):
            return st.one_of([values(one) for one in kinds])
        case inspect.NoneType():
            return st.none()
        case inspect.StructType(cls=struct):
            return documents(struct)
        case inspect.ListType(item_type=item):
            return st.lists(values(item), max_size=2)
        case inspect.LiteralType(values=choices):
            return st.sampled_from(choices)
        case inspect.StrType(pattern=pattern):
            return TEXTS[pattern] if pattern else st.text(max_size=20)
        case inspect.IntType(ge=least, le=most):
            return st.integers(least, most)
        case inspect.FloatType(ge=least, le=most):
            return st.floats(least, most, allow_nan=False, allow_infinity=False)
        case inspect.BoolType():
            return st.booleans()
        case inspect.DecimalType():
            amounts = st.decimals(-(10**17), 10**17, places=4).map(str)
            return amounts.map(msgspec.Raw) | amounts
        case inspect.DateTimeType():
            return st.datetimes(timezones=st.timezones()).filter(lambda at: 1 < at.year < 9999).map(msgspec.to_builtins)
        case inspect.UUIDType():
            return st.uuids().map(str)
        case _:
            raise AssertionError(f"no values for {kind}")


@cache
def documents(struct: type[msgspec.Struct]) -> st.SearchStrategy[Document]:
    """Objects with all required members and a few of the others."""
    fields = msgspec.inspect.type_info(struct).fields  # type: ignore[attr-defined]
    members = {field.encode_name: field for field in fields if field.name not in ("unknown_fields", "sealed")}
    required = {name for name, field in members.items() if field.required}
    strategies = {name: st.deferred(lambda field=field: values(field.type)) for name, field in members.items()}
    return st.sets(st.sampled_from(sorted(members)), max_size=4).flatmap(
        lambda chosen: st.fixed_dictionaries({name: strategies[name] for name in sorted(chosen | required)})
    )


@many
@given(documents(Event))
def test_an_event_comes_back_from_the_log_as_it_went(document: Document) -> None:
    decoded = decode_event(encode(document))
    assert (decoded.sent_version, decoded.unknown) == (document["schema_version"], ())
    written = encode_event(decoded.event)
    assert event_on_the_log(written) == decoded.event
    assert decode_event(written).event == decoded.event
    assert encode_event(event_on_the_log(written)) == written


@many
@given(documents(Event))
def test_quotation_marks_are_counted_as_if_the_event_were_written(document: Document) -> None:
    event = decode_event(encode(document)).event
    written = encode_event(event)
    assert quotation_marks_of(event) == written.count(b'"') - written.count(b'\\"')


@many
@given(documents(version_2_0.Event))
def test_a_2_0_event_says_the_same_as_a_2_2_event(document: Document) -> None:
    session: Document = document
    for name in ("event_data", "user_context", "session_data", "session_attributes"):
        session = session.get(name) or {}
    flat = session.get("geolocation") or {}
    half = (flat.get("lat") is None) != (flat.get("lon") is None)
    raw = encode(document)
    assert bool(errors_of(raw)) == half
    if half:
        return
    decoded = decode_event(raw)
    lat, lon = flat.pop("lat", None), flat.pop("lon", None)
    if lat is not None:
        flat["coordinates"] = {"lat": lat, "lon": lon}
    document["schema_version"] = "2.2"
    expected = decode_event(encode(document)).event
    assert msgspec.structs.replace(decoded.event, unknown_fields=None) == expected
    # What 2.2 brought is a known field here, where the generator put it.
    assert decoded.unknown == ()


@st.composite
def with_unknown_fields(draw: st.DrawFn) -> tuple[Document, Document, dict[str, Any]]:
    """An event, the same with fields that no schema has, and these by pointer."""
    plain = draw(documents(Event))
    drifted = copy.deepcopy(plain)
    added = {}
    for pointer, part in list(_objects(drifted, "")):
        if draw(st.booleans()):
            name, value = draw(NAMES), draw(ANYTHING)
            part[name] = value
            added[f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"] = value
    return plain, drifted, added


def _objects(value: Any, pointer: str) -> Any:
    if isinstance(value, dict):
        yield pointer, value
        for name, inner in value.items():
            yield from _objects(inner, f"{pointer}/{name}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _objects(inner, f"{pointer}/{index}")


@many
@given(with_unknown_fields())
def test_unknown_fields_are_all_kept_and_change_nothing_else(case: tuple[Document, Document, dict[str, Any]]) -> None:
    plain, drifted, added = case
    decoded = decode_event(encode(drifted))
    kept = decoded.event.unknown_fields or {}
    assert {pointer: bytes(value) for pointer, value in kept.items()} == {
        pointer: encode(value) for pointer, value in added.items()
    }
    assert msgspec.structs.replace(decoded.event, unknown_fields=None) == decode_event(encode(plain)).event
    assert event_on_the_log(encode_event(decoded.event)) == decoded.event
    assert errors_of(encode(drifted)) == []


@many
@given(documents(Event) | documents(version_2_0.Event), st.data())
def test_errors_and_decoding_agree_on_damaged_texts(document: Document, data: st.DataObject) -> None:
    raw = bytearray(encode(document))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 3))] = data.draw(
            st.sampled_from(
                [b"", b"null", b'"', b"x", b"-1", b"1e999", b'"a":1,', b"{}", b"[]", b"\\", b":60", b"\xff"]
            )
        )
    errors = errors_of(bytes(raw))
    told: list[FieldError] = []
    try:
        decode_event(bytes(raw))
    except EventRejected as rejected:
        told.extend(rejected.errors)
        told = told or [FieldError("", "a reason")]
    # What a reader trips over first in a text that is no JSON depends on where it begins to read.
    assert _without_first_words(told) == _without_first_words(errors)


def _without_first_words(errors: list[FieldError]) -> list[FieldError]:
    return [FieldError("", error.expected) if error.expected == "a JSON object" else error for error in errors]


@few
@given(documents(Event) | documents(version_2_0.Event))
def test_the_schema_of_a_version_takes_its_events(document: Document) -> None:
    document = msgspec.json.decode(encode(document))
    validator = Draft202012Validator(event_json_schema(document["schema_version"]))
    assert [fault.message for fault in validator.iter_errors(document)] == []
