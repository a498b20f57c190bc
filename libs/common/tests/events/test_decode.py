"""A sender's text becomes the newest event, and nothing of it is lost."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from weir_common.events import (
    Event,
    EventRejected,
    decode_event,
    encode_event,
    errors_of,
    event_on_the_log,
)
from weir_common.events.decode import names_added
from weir_common.events.document import MAX_DEPTH
from weir_common.events.quotation_marks import quotation_marks_of
from weir_common.events.repeated_names import may_repeat_names
from weir_common.events.unknown import MAX_FIELDS, MAX_TEMPLATES

Document = dict[str, Any]
Put = Callable[[Document, str, Any], bytes]
encode = msgspec.json.encode
SHOP = "/event_data/business_context/transaction_context"
GEO = "/event_data/user_context/session_data/session_attributes/geolocation"


def pointers(raw: bytes) -> list[str]:
    with pytest.raises(EventRejected) as caught:
        decode_event(raw)
    assert list(caught.value.errors) == errors_of(raw)
    return [error.pointer for error in caught.value.errors]


@pytest.mark.parametrize("version", ["2.1", "2.2"])
def test_every_field_is_read_and_only_the_version_changes(full: Document, version: str) -> None:
    full["schema_version"] = version
    decoded = decode_event(encode(full))
    assert (decoded.sent_version, decoded.unknown, decoded.event.unknown_fields) == (version, (), None)
    full["schema_version"] = "2.2"
    again = msgspec.json.decode(encode_event(decoded.event))
    assert again == msgspec.json.decode(encode(full))


def test_a_slice_of_a_batch_is_read_like_a_text_of_its_own(full: Document) -> None:
    (slice_,) = msgspec.json.decode(b"[" + encode(full) + b"]", type=list[msgspec.Raw])
    assert decode_event(slice_) == decode_event(encode(full))


# ── what the schema does not know ───────────────────────────────────────────────────────────────────────────────────────


def test_unknown_fields_are_kept_as_they_were_sent(full: Document, put: Put) -> None:
    known = decode_event(encode(full)).event
    put(full, "/colour", "red")
    put(full, f"{SHOP}/products/0/pricing/vat", msgspec.Raw("1.50"))
    put(full, f"{SHOP}/products/1/pricing/vat", msgspec.Raw("1e400"))
    put(full, "/event_metadata/x", {"b": [1, None], "a": 12345678901234567890123})
    decoded = decode_event(put(full, "/event_data/user_context/a~1b", 1))
    assert decoded.event.unknown_fields is not None
    assert {pointer: bytes(value) for pointer, value in decoded.event.unknown_fields.items()} == {
        "/colour": b'"red"',
        f"{SHOP}/products/0/pricing/vat": b"1.50",
        f"{SHOP}/products/1/pricing/vat": b"1e400",
        "/event_metadata/x": b'{"b":[1,null],"a":12345678901234567890123}',
        "/event_data/user_context/a~01b": b"1",
    }
    assert sorted(decoded.unknown) == sorted(
        [
            "/colour",
            f"{SHOP}/products/*/pricing/vat",
            "/event_metadata/x",
            "/event_data/user_context/a~01b",
        ]
    )
    assert msgspec.structs.replace(decoded.event, unknown_fields=None) == known


def test_a_senders_own_unknown_fields_is_an_unknown_field(least: Document) -> None:
    least["unknown_fields"] = {"/tenant_id": "other"}
    event = decode_event(encode(least)).event
    assert event.unknown_fields == {"/unknown_fields": msgspec.Raw('{"/tenant_id":"other"}')}


def test_made_up_names_are_all_kept_but_not_all_counted(least: Document) -> None:
    least |= {f"x{number}": number for number in range(MAX_TEMPLATES + 10)}
    decoded = decode_event(encode(least))
    assert len(decoded.event.unknown_fields or ()) == MAX_TEMPLATES + 10
    assert len(decoded.unknown) == MAX_TEMPLATES


def test_a_sender_cannot_bring_sealed_originals(least: Document) -> None:
    least["sealed"] = {"key_id": "sub_someone", "blob": "AAAA"}
    event = decode_event(msgspec.json.encode(least)).event
    assert event.sealed is None
    assert event.unknown_fields == {"/sealed": msgspec.Raw('{"key_id":"sub_someone","blob":"AAAA"}')}


def test_an_event_of_nothing_but_unknown_fields_is_refused(full: Document, put: Put) -> None:
    """Their pointers would make it many times as long as it was sent."""
    place = "/ml_context/model_scores/recommendation/recommendations"
    assert decode_event(put(full, place, [{"x": 1}] * MAX_FIELDS)).unknown == (f"{place}/*/x",)
    assert pointers(put(full, place, [{"x": 1}] * (MAX_FIELDS + 1))) == [""]
    assert pointers(put(full, "/tenant_id", 5)) == ["/tenant_id", ""]


def test_no_fault_hides_another(full_2_0: Document, put: Put) -> None:
    put(full_2_0, GEO, {"lat": 1.5})
    assert pointers(put(full_2_0, "/ml_context/feature_vectors/user_features", ["x", 1, "y"])) == [
        "/ml_context/feature_vectors/user_features/0",
        "/ml_context/feature_vectors/user_features/2",
        f"{GEO}/lon",
    ]


def test_a_place_is_counted_once_however_many_items_have_it(full: Document, put: Put) -> None:
    put(full, f"{SHOP}/products/0/x", 1)
    assert decode_event(put(full, f"{SHOP}/products/1/x", 2)).unknown == (f"{SHOP}/products/*/x",)


@pytest.mark.parametrize(("levels", "valid"), [(MAX_DEPTH - 1, True), (MAX_DEPTH, False), (10_000, False)])
def test_what_nobody_could_read_again_is_refused(least: Document, levels: int, valid: bool) -> None:
    raw = encode(least)[:-1] + b',"deep":' + b'{"a":' * (levels - 1) + b"[]" + b"}" * (levels - 1) + b"}"
    if valid:
        assert decode_event(raw).unknown == ("/deep",)
    else:
        assert pointers(raw) == [""]


@pytest.mark.parametrize("levels", [100, *range(900, 1_000, 3), 10_000])
def test_depth_at_a_known_place_is_refused_too(least: Document, levels: int) -> None:
    least["tenant_id"] = "@"
    assert pointers(encode(least).replace(b'"@"', b"[" * levels + b"]" * levels)) == [""]


# ── versions ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_2_0_gets_coordinates_and_loses_nothing(full_2_0: Document, put: Put) -> None:
    decoded = decode_event(put(full_2_0, f"{GEO}/lon", -100.5))
    assert (decoded.sent_version, decoded.unknown) == ("2.0", ())
    expected = copy.deepcopy(full_2_0)
    expected["schema_version"] = "2.2"
    flat = expected["event_data"]["user_context"]["session_data"]["session_attributes"]["geolocation"]
    flat["coordinates"] = {"lat": flat.pop("lat"), "lon": flat.pop("lon")}
    assert msgspec.json.decode(encode_event(decoded.event)) == expected


def test_2_0_without_a_place_has_none(least: Document) -> None:
    least["schema_version"] = "2.0"
    assert decode_event(encode(least)).event.event_data.user_context is None


@pytest.mark.parametrize(("given", "missing"), [("lat", "lon"), ("lon", "lat")])
@pytest.mark.parametrize("beside", [{}, {"colour": "red"}])
def test_half_a_coordinate_is_an_error(
    full_2_0: Document, put: Put, given: str, missing: str, beside: Document
) -> None:
    full_2_0 |= beside
    assert pointers(put(full_2_0, GEO, {given: 1.5, missing: None})) == [f"{GEO}/{missing}"]


def test_what_2_0_does_not_know_is_kept(full_2_0: Document, put: Put) -> None:
    put(full_2_0, "/event_metadata/processing_flags", {"pii_contains": True})
    decoded = decode_event(put(full_2_0, f"{GEO}/coordinates", {"lat": 1, "lon": 2}))
    assert decoded.sent_version == "2.0"
    assert set(decoded.unknown) == {"/event_metadata/processing_flags", f"{GEO}/coordinates"}
    attributes = decoded.event.event_data.user_context.session_data.session_attributes  # type: ignore[union-attr]
    assert attributes.geolocation.coordinates.lat == 0.25  # type: ignore[union-attr]


@pytest.mark.parametrize("version", ["2.0", "2.1"])
def test_a_newer_field_in_an_older_event_counts_if_it_fits(
    full_2_0: Document, full: Document, put: Put, version: str
) -> None:
    older = full_2_0 if version == "2.0" else {**full, "schema_version": "2.1"}
    put(older, f"{SHOP}/products/0/quantity", "two")
    put(older, f"{SHOP}/products/1/quantity", 2)
    put(older, f"{SHOP}/order_id", None)
    decoded = decode_event(put(older, f"{SHOP}/return_context", {"reason": 5}))
    assert decoded.event.unknown_fields == {
        f"{SHOP}/products/0/quantity": msgspec.Raw('"two"'),
        f"{SHOP}/return_context": msgspec.Raw('{"reason":5}'),
    }
    products = decoded.event.event_data.business_context.transaction_context.products  # type: ignore[union-attr]
    assert [product.quantity for product in products or ()] == [None, 2]


def test_a_newer_field_that_does_not_fit_is_no_fault_of_an_older_event(full: Document, put: Put) -> None:
    full |= {"schema_version": "2.1", "tenant_id": 5}
    assert pointers(put(full, f"{SHOP}/products/0/quantity", "two")) == ["/tenant_id"]


def test_a_newer_field_in_its_own_version_must_fit(full: Document, put: Put) -> None:
    assert pointers(put(full, f"{SHOP}/products/0/quantity", 0)) == [f"{SHOP}/products/0/quantity"]


@pytest.mark.parametrize("version", ["1.9", "2.3", "", None, 2.1, ["2.1"], {}])
def test_a_version_that_there_is_not_is_named(least: Document, version: Any) -> None:
    least["schema_version"] = version
    (error,) = errors_of(encode(least))
    assert (error.pointer, error.expected) == ("/schema_version", "one of 2.0, 2.1, 2.2")
    assert pointers(encode(least)) == ["/schema_version"]


# ── names that occur twice ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "twice",
    [
        '"tenant_id":"a","tenant_id":"merchant_1"',
        '"tenant_id":"merchant_1","tenant\\u005fid":"merchant_1"',
        '"tenant_id":null,"tenant_id":"merchant_1"',
        '"tenant_id":"merchant_1","x":{"tenant_id":1,"tenant_id":2}',
        '"tenant_id":"merchant_1","partition_key":"\\"","partition_key":"\\u0022\\u0022"',
        '"tenant_id":"merchant_1","partition_key":"","partition_key":"\\u0022\\u0022\\u0022\\u0022"',
    ],
)
@pytest.mark.parametrize("version", ["2.0", "2.2"])
def test_a_name_that_occurs_twice_is_an_error(least: Document, twice: str, version: str) -> None:
    least["schema_version"] = version
    raw = encode(least).replace(b'"tenant_id":"merchant_1"', twice.encode())
    (pointer,) = pointers(raw)
    assert pointer.endswith(("/tenant_id", "/partition_key"))


@pytest.mark.parametrize("again", [b'"event_version":"1"', b'"event_version":null'])
def test_what_we_add_to_an_event_hides_no_name(full_2_0: Document, full: Document, again: bytes) -> None:
    for document in (full_2_0, full | {"colour": "red"}, full_2_0 | {"colour": "red"}):
        raw = encode(document)
        decoded = decode_event(raw)
        assert not may_repeat_names(raw, decoded.event, names_added(decoded)), "each is read twice now"
        assert pointers(raw.replace(b'"source_system"', again + b',"source_system"')) == [
            "/event_metadata/event_version"
        ]


@pytest.mark.parametrize(
    "text", [r"a\"b\\", r"\u0022", r"\\\"", "a:b", r"null\/", "ü", r"\u00fc", '", "x": "', r"{\"a\":1,\"a\":2}"]
)
def test_texts_that_look_like_names_are_none(least: Document, text: str) -> None:
    least["partition_key"] = msgspec.Raw(f'"{text}"') if text != '", "x": "' else text
    least["ml_context"] = None
    assert decode_event(encode(least)).event.partition_key is not None


def test_the_quotation_marks_of_the_full_event_are_counted(full: Document) -> None:
    event = decode_event(encode(full)).event
    assert quotation_marks_of(event) == encode_event(event).count(b'"')


# ── amounts, numbers, instants ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("amount", "kept"),
    [
        ("19.90", "19.90"),
        ('"19.90"', "19.90"),
        ("-0", "0"),
        ("-0.0", "-0.0"),
        ("0.30000000000000004", "0.30000000000000004"),
        ("999999999999999999.99", "999999999999999999.99"),
        ("5.684341886080802e-14", "5.684341886080802E-14"),
        ("1e17", "1E+17"),
    ],
)
def test_amounts_keep_their_digits(full: Document, put: Put, amount: str, kept: str) -> None:
    event = decode_event(put(full, f"{SHOP}/cart_context/cart_value/final_total", msgspec.Raw(amount))).event
    total = event.event_data.business_context.transaction_context.cart_context.cart_value.final_total  # type: ignore[union-attr]
    assert str(total) == str(Decimal(kept))
    assert event_on_the_log(encode_event(event)) == event


@pytest.mark.parametrize(
    "amount",
    [
        '"NaN"',
        '"-sNaN"',
        '"Infinity"',
        '"-inf"',
        "1e18",
        "-1e18",
        "1e308",
        "9223372036854775808",
        '"1E+999999999"',
        '"0E-999999999"',
        '"0E+999999999"',
        "1e-100",
        "1." + "0" * 40,
        "0." + "1" * 41,
    ],
)
def test_amounts_that_nobody_can_store_are_refused(full: Document, put: Put, amount: str) -> None:
    pointer = f"{SHOP}/cart_context/payment_context/payment_methods/1/amount"
    raw = put(full, pointer, msgspec.Raw(amount))
    (error,) = errors_of(raw)
    assert (error.pointer, error.expected) == (pointer, "a finite amount below 10^18, of at most 40 digits")
    assert pointers(raw) == [pointer]


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63)])
def test_whole_numbers_of_64_bits_are_kept(full: Document, put: Put, number: int) -> None:
    pointer = f"{SHOP}/products/0/inventory/quantity_available"
    event = decode_event(put(full, pointer, number)).event
    products = event.event_data.business_context.transaction_context.products  # type: ignore[union-attr]
    assert products[0].inventory.quantity_available == number  # type: ignore[index,union-attr]


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**30])
def test_whole_numbers_beyond_64_bits_are_refused(full: Document, put: Put, number: int) -> None:
    pointer = f"{SHOP}/products/0/inventory/quantity_available"
    assert pointers(put(full, pointer, msgspec.Raw(str(number)))) == [pointer]


def test_a_number_out_of_every_range_is_refused(full: Document, put: Put) -> None:
    pointer = f"{SHOP}/products/0/pricing/margin_percentage"
    assert pointers(put(full, pointer, msgspec.Raw("1e309"))) == [pointer]


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59.999999Z", datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
        ("2026-11-25T10:30:00+05:30", datetime(2026, 11, 25, 5, 0, tzinfo=UTC)),
        ("2026-11-25t10:30:00.123456789z", datetime(2026, 11, 25, 10, 30, 0, 123457, tzinfo=UTC)),
    ],
)
def test_instants_are_read(least: Document, put: Put, text: str, instant: datetime) -> None:
    event = decode_event(put(least, "/event_metadata/timestamp", text)).event
    assert event.event_metadata.timestamp == instant
    assert event_on_the_log(encode_event(event)) == event


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-25T10:30:00", "datetime with a timezone component"),
        ("2026-11-25", "an RFC 3339 date-time"),
        ("0000-01-01T00:00:00Z", "an RFC 3339 date-time"),
        ("2023-02-29T00:00:00Z", "an RFC 3339 date-time"),
        ("2026-11-25T24:00:00Z", "an RFC 3339 date-time"),
        ("2016-12-31T23:59:60Z", "an RFC 3339 date-time without leap second: send :59.999999"),
        ("0001-01-01T00:00:00+00:01", "a date-time that exists in UTC"),
        ("9999-12-31T23:59:59-00:01", "a date-time that exists in UTC"),
        (1_700_000_000, "datetime"),
    ],
)
def test_instants_that_are_none_say_why(least: Document, put: Put, text: Any, expected: str) -> None:
    raw = put(least, "/event_metadata/timestamp", text)
    (error,) = errors_of(raw)
    assert (error.pointer, error.expected) == ("/event_metadata/timestamp", expected)
    assert pointers(raw) == ["/event_metadata/timestamp"]


@pytest.mark.parametrize("name", ["tenant_id", "partition_key", "event_data/event_subtype"])
def test_a_line_end_is_no_part_of_a_name(least: Document, put: Put, name: str) -> None:
    raw = put(least, f"/{name}", "a\n")
    if name == "partition_key":
        assert decode_event(raw).event.partition_key == "a\n"
    else:
        assert pointers(raw) == [f"/{name}"]


# ── no event at all ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"nonsense",
        b'{"schema_version":"2.1"',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        b"{} {}",
        b"[" * 100_000,
        b"[]",
        b'"text"',
        b"null",
        b"5",
    ],
)
def test_what_is_no_object_has_one_error(raw: bytes) -> None:
    assert pointers(raw) == [""]


def test_an_event_is_not_read_again_from_what_is_not_the_logs(full: Document) -> None:
    event = decode_event(encode(full)).event
    assert isinstance(event, Event)
    with pytest.raises(msgspec.ValidationError):
        event_on_the_log(encode(full | {"colour": "red"}))
