"""Every form of body through the gateway, and a request that is repeated with its key."""

from __future__ import annotations

import gzip
import uuid
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest
import zstandard
from weir_local.demo import attacks
from weir_local.demo.api import Gateway

pytestmark = pytest.mark.e2e

PATH = "/api/v2/events/batch"


def payment(tenant: str) -> dict[str, Any]:
    return attacks.payment(tenant, str(uuid.uuid4()), datetime.now(UTC))


def cloud_event(event: dict[str, Any]) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": event["event_metadata"]["event_id"],
        "source": "/shop",
        "type": "shop.transaction.purchase",
        "data": event,
    }


async def post(gateway: Gateway, shop: Any, body: bytes, **headers: str) -> httpx.Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return await gateway.client.post(PATH, content=body, headers={**shop.headers, **names})


def statuses(answer: httpx.Response) -> list[str]:
    return [result["status"] for result in answer.json()["results"]]


async def test_the_same_event_in_every_form_is_one_event(gateway: Gateway, shop: Any) -> None:
    event = payment(shop.tenant_id)
    text, encode = msgspec.json.encode(event), msgspec.json.encode
    batch = encode({"events": [event]})
    binary = {f"ce_{name}": str(value) for name, value in cloud_event(event).items() if name != "data"}
    answers = [
        await post(gateway, shop, batch, content_type="application/json"),
        await post(gateway, shop, gzip.compress(batch), content_type="application/json", content_encoding="gzip"),
        await post(
            gateway,
            shop,
            zstandard.ZstdCompressor().compress(batch),
            content_type="application/json",
            content_encoding="zstd",
        ),
        await post(gateway, shop, text + b"\n", content_type="application/x-ndjson"),
        await post(gateway, shop, encode(cloud_event(event)), content_type="application/cloudevents+json"),
        await post(gateway, shop, encode([cloud_event(event)]), content_type="application/cloudevents-batch+json"),
        await post(gateway, shop, text, content_type="application/json", **binary),
    ]
    assert [answer.status_code for answer in answers] == [202] * 7
    assert [statuses(answer) for answer in answers] == [["accepted"]] + [["duplicate"]] * 6
    assert len({str(answer.json()["results"][0]["receipt"]) for answer in answers}) == 1


async def test_a_repeated_request_gets_the_same_answer(gateway: Gateway, shop: Any) -> None:
    body = msgspec.json.encode({"events": [payment(shop.tenant_id), {"tenant_id": shop.tenant_id}]})
    key = str(uuid.uuid4())
    first = await post(gateway, shop, body, content_type="application/json", idempotency_key=key)
    second = await post(gateway, shop, body, content_type="application/json", idempotency_key=key)
    assert (first.status_code, statuses(first)) == (207, ["accepted", "quarantined"])
    assert (second.status_code, second.content) == (first.status_code, first.content)
    assert second.headers["idempotency-replayed"] == "true"
    other = await post(gateway, shop, body + b" ", content_type="application/json", idempotency_key=key)
    assert (other.status_code, other.json()["type"].rpartition("/")[2]) == (422, "idempotency-key-reused")


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"content_type": "text/csv"}, b"a,b", 415),
        ({"content_type": "application/json", "content_encoding": "br"}, b"x", 415),
        ({"content_type": "application/json", "content_encoding": "gzip"}, b"x", 400),
        ({"content_type": "application/json", "content_encoding": "gzip"}, gzip.compress(b" " * 64 * 1_048_576), 413),
        ({"content_type": "application/json"}, b'{"events": [' + b"[" * 10_000 + b"]" * 10_000 + b"]}", 413),
        ({"content_type": "application/json"}, b'{"events": []}', 422),
        ({"content_type": "application/json"}, b"", 400),
    ],
)
async def test_what_cannot_be_read_is_told_why(
    gateway: Gateway, shop: Any, headers: dict[str, str], body: bytes, status: int
) -> None:
    answer = await post(gateway, shop, body, **headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]
