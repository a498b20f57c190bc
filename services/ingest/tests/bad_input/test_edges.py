"""Bodies, headers and values at the edges of what there can be, each with its right answer."""

from __future__ import annotations

import gzip
import json
from typing import Any

import msgspec
import pytest
import zstandard
from weir_common.kafka.topics import EVENTS

MEGABYTE = 1_048_576


def with_value(made: dict[str, Any], text: str) -> bytes:
    """A batch of one event whose unknown field ``x`` is ``text``, letter by letter."""
    return b'{"events":[' + msgspec.json.encode({**made, "x": "--here--"}).replace(b'"--here--"', text.encode()) + b"]}"


async def kept(door: Any) -> Any:
    """The unknown field ``x`` as it comes back from the log."""
    (event,) = await door.accepted()
    fields = event.unknown_fields
    assert fields is not None
    return bytes(fields["/x"]).decode()


def first_error(answer: Any) -> dict[str, Any]:
    document = answer.json()
    errors: list[dict[str, Any]] = (document["results"][0] if "results" in document else document)["errors"]
    return errors[0]


# ── numbers and texts that no schema knows ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("1e308", "1e308"),
        ("1e309", "1e309"),
        ("-1e400", "-1e400"),
        ("9223372036854775808", "9223372036854775808"),
        ("-9223372036854775809", "-9223372036854775809"),
        ("123456789012345678901234567890", None),
        ("-0", "0"),
        ("-0.0", "-0.0"),
        ("1.50", "1.50"),
        ("0.1e-7", "0.1e-7"),
        ('"\\u0000"', '"\\u0000"'),
        ('"\\ud83d\\ude00"', '"😀"'),
        ('"\\ufeff"', '"\ufeff"'),
    ],
)
async def test_a_value_is_kept_to_its_last_digit(door: Any, event: Any, sent: str, stored: str | None) -> None:
    answer = await door.post(with_value(event(), sent))
    assert answer.status_code == 202
    if stored is None:
        assert float(await kept(door)) == float(
            sent
        )  # beyond 64 bits a whole number is kept as what every reader can hold
    else:
        assert await kept(door) == stored


@pytest.mark.parametrize(
    "sent",
    ["NaN", "Infinity", "-Infinity", "01", "1.", ".5", "+1", "0x1", "1e", "'a'", '"\\ud800"', '"\\udc00x"', '"\t"'],
)
async def test_what_json_has_no_word_for_is_refused_as_unreadable(door: Any, event: Any, sent: str) -> None:
    answer = await door.post(with_value(event(), sent))
    assert (answer.status_code, door.log.records) in ((400, []), (422, door.log.records))
    assert [record for record in door.log.records if record.topic == EVENTS] == []


# ── numbers and dates in typed fields ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ('"2016-12-31T23:59:60Z"', "an RFC 3339 date-time without leap second: send :59.999999"),
        ('"2026-02-29T00:00:00Z"', "an RFC 3339 date-time"),
        ('"2026-01-15T10:30:00"', None),
        ('"2026-01-15"', "an RFC 3339 date-time"),
        ('"2026-01-15T24:00:00Z"', "an RFC 3339 date-time"),
        ('"2026-01-15T10:30:00+24:00"', "an RFC 3339 date-time"),
        ('"0000-01-01T00:00:00Z"', "an RFC 3339 date-time"),
        ('"10000-01-01T00:00:00Z"', "an RFC 3339 date-time"),
        ('"0001-01-01T00:00:00+14:00"', "a date-time that exists in UTC"),
        ('"9999-12-31T23:59:59-14:00"', "a date-time that exists in UTC"),
        ("1768473000", "datetime"),
        ("null", None),
    ],
)
async def test_an_instant_that_is_none(door: Any, event: Any, sent: str, expected: str | None) -> None:
    made = event()
    made["event_metadata"]["timestamp"] = msgspec.Raw(sent)
    answer = await door.post(msgspec.json.encode({"events": [made]}))
    error = first_error(answer)
    assert (answer.status_code, error["pointer"]) == (422, "/event_metadata/timestamp")
    assert error["expected"] == expected or (expected is None and error["expected"])


@pytest.mark.parametrize(
    "sent", ['"0001-01-01T00:00:00Z"', '"9999-12-31T23:59:59.999999Z"', '"2026-01-15T10:30:00.123456-14:00"']
)
async def test_an_instant_at_the_edge_of_the_calendar(door: Any, event: Any, sent: str) -> None:
    made = event()
    made["event_metadata"]["timestamp"] = msgspec.Raw(sent)
    assert (await door.post(msgspec.json.encode({"events": [made]}))).status_code == 202


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("9223372036854775807", 202),
        ("9223372036854775808", 422),
        ("-1", 422),
        ("1e308", 422),
        ("-0", 202),
        ("1.5", 422),
        ('"1"', 422),
        ("true", 422),
    ],
)
async def test_a_whole_number_fits_64_bits(door: Any, event: Any, sent: str, status: int) -> None:
    made = event()
    made["event_data"]["user_context"] = {"session_data": {"session_sequence": msgspec.Raw(sent)}}
    answer = await door.post(msgspec.json.encode({"events": [made]}))
    assert answer.status_code == status
    if status == 422:
        error = first_error(answer)
        assert error["pointer"] == "/event_data/user_context/session_data/session_sequence"
        assert error["expected"]
        assert len(error["got"]) <= 130


async def test_a_number_of_five_thousand_digits_is_no_number_that_anybody_reads(door: Any, event: Any) -> None:
    for made in (event(x=msgspec.Raw("9" * 5_000)), event(partition_key=msgspec.Raw("9" * 5_000))):
        answer = await door.post(msgspec.json.encode({"events": [made]}))
        assert answer.status_code in (202, 422)
        assert answer.status_code == 202 or first_error(answer)["expected"]


# ── the same name twice ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_name_that_occurs_twice_is_refused_in_every_form(door: Any, event: Any) -> None:
    made = event()
    text = msgspec.json.encode(made)[:-1] + b',"x":{"a":1,"a":1}}'
    cloud = {"specversion": "1.0", "id": made["event_metadata"]["event_id"], "source": "/s", "type": "x"}
    plain = msgspec.json.encode({**cloud, "data": msgspec.Raw(text)})
    del made["event_metadata"]["event_id"]
    filled = msgspec.json.encode(
        {**cloud, "data": msgspec.Raw(msgspec.json.encode(made)[:-1] + b',"x":{"a":1,"a":1}}')}
    )
    for body, media_type, pointer in (
        (b'{"events":[%s]}' % text, "application/json", "/x/a"),
        (text, "application/x-ndjson", "/x/a"),
        (plain, "application/cloudevents+json", "/x/a"),
        (filled, "application/cloudevents+json", "/data/x/a"),
    ):
        answer = await door.post(body, media_type)
        assert answer.status_code == 422
        assert first_error(answer) == {
            "pointer": pointer,
            "expected": "a name that occurs once",
            "got": "the name again",
        }


@pytest.mark.parametrize("text", ["é", "=", "abc", "a b=", "\u0000", "%%%%"])
async def test_data_that_are_no_base64(door: Any, text: str) -> None:
    body = {"specversion": "1.0", "id": "a", "source": "/s", "type": "x", "data_base64": text}
    answer = await door.post(msgspec.json.encode(body), "application/cloudevents+json")
    error = first_error(answer)
    assert (answer.status_code, error["pointer"], error["expected"]) == (422, "/data_base64", "base64")


# ── deep, large, compressed ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("levels", [10_000, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
async def test_nesting_without_end_is_refused_and_not_followed(
    door: Any, event: Any, levels: int, opening: str, closing: str
) -> None:
    deep = opening * levels + "1" + closing * levels
    for answer in (
        await door.post(deep.encode()),
        await door.post(with_value(event(), deep)),
        await door.post(deep.encode(), "application/cloudevents+json"),
        await door.post(('{"data":' + deep + "}").encode(), "application/cloudevents+json"),
        await door.post(("[" + deep + "]").encode(), "application/cloudevents-batch+json"),
        await door.post(deep.encode(), "application/x-ndjson"),
    ):
        assert answer.status_code in (413, 422)
    assert [record for record in door.log.records if record.topic == EVENTS] == []


@pytest.mark.parametrize(("levels", "status"), [(63, 202), (64, 422), (300, 422)])
async def test_an_unknown_field_has_so_many_levels(door: Any, event: Any, levels: int, status: int) -> None:
    answer = await door.post(with_value(event(), "[" * levels + "]" * levels))
    assert answer.status_code == status


def bombs() -> dict[str, tuple[str, bytes]]:
    """Small bodies that would become large ones in memory."""
    large = b" " * (64 * MEGABYTE)
    packed = gzip.compress(large, compresslevel=9)
    zstd = zstandard.ZstdCompressor(level=3)
    return {
        "gzip": ("gzip", packed),
        "gzip of many members": ("gzip", gzip.compress(b" " * 1_000) * 2_000),
        "zstd": ("zstd", zstd.compress(large)),
        "zstd of many frames": ("zstd", zstd.compress(b" " * 1_000) * 2_000),
        "zstd that does not say its size": ("zstd", zstandard.ZstdCompressor(write_content_size=False).compress(large)),
    }


@pytest.mark.parametrize("name", list(bombs()))
async def test_a_bomb_is_refused_at_the_limit(door: Any, name: str) -> None:
    coding, body = bombs()[name]
    answer = await door.post(body, headers=[("content-encoding", coding)])
    assert (answer.status_code, answer.json()["limit_bytes"]) == (413, MEGABYTE)


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_a_compressed_body_that_is_cut_short_or_has_more_behind_it(door: Any, event: Any, coding: str) -> None:
    body = msgspec.json.encode({"events": [event()]})
    whole = gzip.compress(body) if coding == "gzip" else zstandard.compress(body)
    for broken in (whole[:-5], whole[: len(whole) // 2], whole[:1], b"", whole + b"more", b"more" + whole):
        answer = await door.post(broken, headers=[("content-encoding", coding)])
        assert answer.status_code == 400
    twice = gzip.compress(whole) if coding == "gzip" else zstandard.compress(whole)
    assert (await door.post(twice, headers=[("content-encoding", coding)])).status_code == 400


async def test_a_body_above_the_limit_declared_or_not(door: Any) -> None:
    assert (await door.post(b" " * (MEGABYTE + 1))).status_code == 413

    async def pieces() -> Any:
        for _ in range(20):
            yield b" " * 65_536

    answer = await door.client.post(
        "/api/v2/events/batch", content=pieces(), headers={"content-type": "application/json"}
    )
    assert answer.status_code == 413


# ── headers and methods ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("media_type", "status"),
    [
        ("application/json; charset=utf-8", 202),
        # RFC 8259 section 11: JSON has no charset parameter; it is UTF-8, whatever is said.
        ("application/json; charset=iso-8859-1", 202),
        ("application/json; charset=no-such-thing", 202),
        ("APPLICATION/JSON ;x=y", 202),
        ("application/json, text/plain", 415),
        ("text/plain", 415),
        ("", 415),
        ("x" * 5_000, 415),
        ("application/jsön", 415),
    ],
)
async def test_content_types(door: Any, event: Any, media_type: str, status: int) -> None:
    answer = await door.client.post(
        "/api/v2/events/batch",
        content=msgspec.json.encode({"events": [event()]}),
        headers=[("content-type", media_type.encode("latin-1"))],  # type: ignore[list-item]
    )
    assert answer.status_code == status
    if status == 415:
        assert "application/json" in answer.headers["accept"]
        assert len(answer.text) < 1_000


@pytest.mark.parametrize("text", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig"])
async def test_json_in_another_encoding_is_unreadable(door: Any, event: Any, text: str) -> None:
    body = json.dumps({"events": [event()]}).encode(text)
    assert (await door.post(body, f"application/json; charset={text}")).status_code == 400


@pytest.mark.parametrize(
    ("name", "values", "status"),
    [
        ("content-type", ("text/plain",), 400),
        ("content-type", ("application/json",), 400),
        ("idempotency-key", ("a", "b"), 400),
        ("x-api-key", ("another",), 400),
        ("ce-id", ("a", "b"), 400),
        ("content-encoding", ("identity", "identity"), 415),
        ("x-anything", ("a", "b"), 202),
        ("accept", ("a", "b"), 202),
    ],
)
async def test_a_header_that_occurs_again(
    door: Any, event: Any, name: str, values: tuple[str, ...], status: int
) -> None:
    body = msgspec.json.encode({"events": [event()]})
    base = [("content-type", "application/json"), ("x-api-key", "the key")]
    request = door.client.build_request("POST", "/api/v2/events/batch", content=body)
    request.headers = type(request.headers)([*base, *((name, value) for value in values)])
    answer = await door.client.send(request)
    assert answer.status_code == status
    if status == 400:
        assert first_error(answer) == {"parameter": name, "expected": "once", "got": "2 times"}


@pytest.mark.parametrize(
    ("key", "status"),
    [("k" * 255, 202), ("k" * 256, 400), ("a b", 202), ("ключ".encode(), 400), (b"\xe9t\xe9", 202), (b"a\x7fb", 400)],
)
async def test_idempotency_keys(door: Any, event: Any, key: str | bytes, status: int) -> None:
    answer = await door.client.post(
        "/api/v2/events/batch",
        content=msgspec.json.encode({"events": [event()]}),
        headers=[("content-type", "application/json"), ("idempotency-key", key)],  # type: ignore[list-item]
    )
    assert answer.status_code == status


@pytest.mark.parametrize("length", ["9" * 20, "9" * 5_000, "00009999999999"])
async def test_a_declared_length_of_any_size(door: Any, length: str) -> None:
    request = door.client.build_request("POST", "/api/v2/events/batch", content=b"{}")
    request.headers["content-length"] = length
    assert (await door.client.send(request)).status_code == 413


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY", "BREW"])
async def test_another_method_is_told_which_there_is(door: Any, method: str) -> None:
    answer = await door.client.request(method, "/api/v2/events/batch")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("value", ["", "yes", "%00", "%ff", "%ed%a0%80", "true&atomic=no", "x" * 5_000])
async def test_a_flag_that_is_none(door: Any, event: Any, value: str) -> None:
    answer = await door.post(msgspec.json.encode({"events": [event()]}), query=f"?atomic={value}")
    assert answer.status_code == (202 if value == "" else 400)
    if value:
        assert first_error(answer)["parameter"] == "atomic"


@pytest.mark.parametrize(
    ("path", "status"),
    [("%00", 404), ("%ff", 404), ("x" * 64, 404), ("x" * 65, 422), ("%F0%9F%98%80", 404), ("'; --", 404)],
)
async def test_a_receipt_of_no_event(door: Any, path: str, status: int) -> None:
    answer = await door.client.get(f"/api/v2/events/receipts/{path}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
