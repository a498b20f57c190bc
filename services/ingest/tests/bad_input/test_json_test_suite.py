"""Every file of JSONTestSuite at every place where the door reads JSON: ``y_`` is JSON, ``n_`` is refused, ``i_`` may be either.

The suite is no part of the project: it is read from ``WEIR_DATA``, or from the folder of shared data beside the checkout.
Each test goes over all files and names those that were answered wrongly.
"""

from __future__ import annotations

import base64
import json
import os
import uuid
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from weir.ingest.v1.ingest_pb2 import EVENT_STATUS_ACCEPTED, EVENT_STATUS_INVALID
from weir_common.events import Event

SHARED = Path(__file__).parents[5] / "shared" / "data"
FILES = sorted(Path(os.environ.get("WEIR_DATA", SHARED)).glob("json-test-suite/test_parsing/*.json"))
pytestmark = pytest.mark.skipif(
    not FILES, reason="JSONTestSuite is not here: set WEIR_DATA to the folder that holds json-test-suite"
)

JSON_TYPES = (
    "application/json",
    "application/cloudevents+json",
    "application/cloudevents-batch+json",
    "application/x-ndjson",
    "application/jsonl",
)
MARK = b'"--here--"'
REPEATED = ("y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json")
"""JSON by its grammar; refused in an event, since readers differ in which of the values they take (I-JSON, RFC 7493)."""


def put(document: dict[str, Any], text: bytes) -> bytes:
    """The document with ``text`` in the place of the mark."""
    return msgspec.json.encode(document).replace(MARK, text)


def attributes() -> dict[str, Any]:
    return {"specversion": "1.0", "id": str(uuid.uuid4()), "source": "/shop", "type": "x"}


def same_json(one: bytes, other: bytes) -> bool:
    """Equal as documents; numbers with a point or an exponent by their text, since which digits were sent is nobody's to change."""

    def read(text: bytes) -> Any:
        return json.loads(text, parse_float=str)

    return bool(read(one) == read(other))


def right(path: Path, answer: httpx.Response) -> bool:
    """A file inside an event: JSON is taken, what is none is refused, and what may be either is answered."""
    match path.name[0]:
        case "y":
            return answer.status_code == (422 if path.name in REPEATED else 202)
        case "n":
            return 400 <= answer.status_code < 500
        case _:
            return answer.status_code < 500


async def on_the_log(door: Any) -> list[Event]:
    """What was accepted since last asked, with the seals opened."""
    found: list[Event] = await door.accepted()
    door.log.records.clear()
    return found


@pytest.mark.parametrize("media_type", JSON_TYPES)
async def test_a_file_as_the_whole_body(door: Any, media_type: str) -> None:
    """No file is an event or a batch of them, so each is refused; and what is JSON is not called malformed."""
    wrong = {}
    for path in FILES:
        answer = await door.post(path.read_bytes(), media_type)
        if not 400 <= answer.status_code < 500 or answer.headers["content-type"].partition(";")[0] not in (
            "application/json",  # one result an event
            "application/problem+json",
        ):
            wrong[path.name] = answer.status_code
        if path.name.startswith("y_") and answer.status_code != 422:
            wrong[path.name] = answer.status_code
    assert wrong == {}
    assert await on_the_log(door) == []


async def test_a_file_as_an_unknown_field_is_kept_as_it_came(door: Any, event: Any) -> None:
    wrong = {}
    for path in FILES:
        text = path.read_bytes()
        answer = await door.post(b'{"events":[' + put(event(x_payload="--here--"), text) + b"]}")
        kept = [found.unknown_fields or {} for found in await on_the_log(door)]
        if (
            not right(path, answer)
            or len(kept) != (answer.status_code == 202)
            or (kept and path.name.startswith("y_") and not same_json(bytes(kept[0]["/x_payload"]), text))
        ):
            wrong[path.name] = (answer.status_code, kept)
    assert wrong == {}


async def test_a_file_as_a_typed_field_passes_if_it_is_a_text_or_null(door: Any, event: Any) -> None:
    wrong = {}
    for path in FILES:
        made, text = event(), path.read_bytes()
        made["event_metadata"]["correlation_id"] = "--here--"
        answer = await door.post(b'{"events":[' + put(made, text) + b"]}")
        allowed = {"y": (202, 422), "n": (400, 413, 422), "i": (202, 400, 413, 422)}[path.name[0]]
        if path.name.startswith("y_"):
            allowed = (202,) if isinstance(json.loads(text), str | None) else (422,)
        if answer.status_code not in allowed:
            wrong[path.name] = (answer.status_code, allowed)
    assert wrong == {}


async def test_a_file_beside_the_events_must_be_json_though_nobody_reads_it(door: Any, event: Any) -> None:
    wrong = {}
    for path in FILES:
        answer = await door.post(put({"events": [event()], "more": "--here--"}, path.read_bytes()))
        allowed = {"y": (202,), "n": (400, 413, 422), "i": (202, 400, 413)}[path.name[0]]
        if answer.status_code not in allowed:
            wrong[path.name] = answer.status_code
    assert wrong == {}


async def test_a_file_as_a_cloud_events_data_is_no_event(door: Any) -> None:
    """Plain, as base64, in a batch and as the body of the binary form."""
    wrong = {}
    for path in FILES:
        text, names = path.read_bytes(), attributes()
        plain = put({**names, "data": "--here--"}, text)
        encoded = msgspec.json.encode({**names, "data_base64": base64.b64encode(text).decode()})
        answers = [
            await door.post(plain, "application/cloudevents+json"),
            await door.post(encoded, "application/cloudevents+json"),
            await door.post(b"[" + plain + b"," + encoded + b"]", "application/cloudevents-batch+json"),
            await door.post(text, headers=[(f"ce-{name}", value) for name, value in names.items()]),
        ]
        if not all(400 <= answer.status_code < 500 for answer in answers):
            wrong[path.name] = [answer.status_code for answer in answers]
    assert wrong == {}
    assert await on_the_log(door) == []


async def test_a_file_inside_a_cloud_events_data_is_kept_as_it_came(door: Any, event: Any) -> None:
    """Also when the attributes fill the event in, for which it is written anew."""
    wrong = {}
    for path in FILES:
        text = path.read_bytes()
        for filled in (False, True):
            made, names = event(x_payload="--here--"), attributes()
            if filled:
                del made["event_metadata"]["event_id"]
            else:
                names["id"] = made["event_metadata"]["event_id"]
            answer = await door.post(put({**names, "data": made}, text), "application/cloudevents+json")
            kept = [found.unknown_fields or {} for found in await on_the_log(door)]
            if (
                not right(path, answer)
                or len(kept) != (answer.status_code == 202)
                or (kept and path.name.startswith("y_") and not same_json(bytes(kept[0]["/x_payload"]), text))
            ):
                wrong[path.name, filled] = (answer.status_code, kept)
    assert wrong == {}


async def test_a_file_as_a_cloud_events_extension_must_be_json_though_nobody_reads_it(door: Any, event: Any) -> None:
    wrong = {}
    for path in FILES:
        made, names = event(), attributes()
        names["id"] = made["event_metadata"]["event_id"]
        answer = await door.post(
            put({**names, "data": made, "ext": "--here--"}, path.read_bytes()), "application/cloudevents+json"
        )
        allowed = {"y": (202,), "n": (400, 422), "i": (202, 400, 422)}[path.name[0]]
        if answer.status_code not in allowed:
            wrong[path.name] = answer.status_code
    assert wrong == {}


async def test_a_file_inside_a_line_hides_none_of_the_others(door: Any, event: Any) -> None:
    wrong = {}
    for path in FILES:
        text = path.read_bytes().strip(b"\n")
        if b"\n" in text:
            continue  # a line feed ends a line: these are several
        lines = msgspec.json.encode(event()), put(event(x_payload="--here--"), text), msgspec.json.encode(event())
        answer = await door.post(b"\n".join(lines), "application/x-ndjson")
        statuses = [result["status"] for result in answer.json()["results"]]
        middle = {"y": ("accepted",), "n": ("invalid",), "i": ("accepted", "invalid")}[path.name[0]]
        if path.name in REPEATED:
            middle = ("invalid",)
        if statuses[0] != "accepted" or statuses[2] != "accepted" or statuses[1] not in middle:
            wrong[path.name] = statuses
    assert wrong == {}


async def test_a_file_through_grpc_alone_and_inside_an_event(door: Any, event: Any) -> None:
    wrong = {}
    for path in FILES:
        text = path.read_bytes()
        alone, inside = await door.publish(text, put(event(x_payload="--here--"), text))
        taken = path.name.startswith("y_") and path.name not in REPEATED
        if alone.status != EVENT_STATUS_INVALID or not alone.errors[0].expected:
            wrong[path.name] = str(alone)
        if not path.name.startswith("i_"):
            if inside.status != (EVENT_STATUS_ACCEPTED if taken else EVENT_STATUS_INVALID):
                wrong[path.name] = str(inside)
        elif inside.status not in (EVENT_STATUS_ACCEPTED, EVENT_STATUS_INVALID):
            wrong[path.name] = str(inside)
    assert wrong == {}
