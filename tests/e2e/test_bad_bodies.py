"""Bodies that come slowly, in another length than was said, or are no JSON: through the real gateway, beside honest clients."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from weir_local import certificates
from weir_local.demo import attacks
from weir_local.demo.api import Gateway
from weir_local.mesh import Mesh

pytestmark = pytest.mark.e2e

PATH = "/api/v2/events/batch"
SHARED = Path(__file__).parents[3] / "shared" / "data"
FILES = sorted(Path(os.environ.get("WEIR_DATA", SHARED)).glob("json-test-suite/test_parsing/*.json"))
DEADLINE_SECONDS = 90
"""The gateway gives a request 60 s to arrive; the rest is for a slow machine."""


def payment(tenant: str) -> dict[str, Any]:
    return attacks.payment(tenant, str(uuid.uuid4()), datetime.now(UTC))


@asynccontextmanager
async def connection(mesh: Mesh) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A TLS connection to the gateway on which bytes can be sent as no client library would."""
    context = ssl.create_default_context(cafile=str(certificates.ca(mesh).certificate))
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("localhost", mesh.port("gateway-https"), ssl=context)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def head(shop: Any, *headers: str) -> bytes:
    lines = [f"POST {PATH} HTTP/1.1", "host: localhost", f"x-api-key: {shop.key}", "content-type: application/json"]
    return "\r\n".join([*lines, *headers, "", ""]).encode()


async def answer_of(reader: asyncio.StreamReader, seconds: float = 10) -> tuple[int, dict[str, Any]]:
    """Status and problem; (0, {}) when the connection was closed without a word."""
    async with asyncio.timeout(seconds):
        try:
            raw = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionResetError):
            return 0, {}
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (h.partition(b":") for h in raw.split(b"\r\n")[1:])
        }
        body = await reader.readexactly(int(headers.get(b"content-length", b"0")))
    is_problem = headers.get(b"content-type") == b"application/problem+json"
    return int(raw.split()[1]), json.loads(body) if is_problem else {}


async def test_bodies_that_never_end_are_ended_and_disturb_nobody(mesh: Mesh, gateway: Gateway, shop: Any) -> None:
    """Forty connections that send a byte in a while; an honest client beside them is answered as ever."""

    async def drip() -> tuple[int, float]:
        started = time.monotonic()
        async with connection(mesh) as (reader, writer):
            writer.write(head(shop, "content-length: 100000"))
            reading = asyncio.create_task(answer_of(reader, DEADLINE_SECONDS))
            while not reading.done():
                writer.write(b" ")
                await asyncio.wait([reading], timeout=1)
            return (await reading)[0], time.monotonic() - started

    slow = [asyncio.create_task(drip()) for _ in range(40)]
    await asyncio.sleep(1)
    times = []
    for _ in range(20):
        started = time.monotonic()
        answer = await gateway.client.post(PATH, json={"events": [payment(shop.tenant_id)]}, headers=shop.headers)
        times.append(time.monotonic() - started)
        assert answer.status_code == 202
    assert sorted(times)[10] < 1, times
    for status, seconds in await asyncio.gather(*slow):
        assert status in (0, 408)
        assert 30 < seconds < DEADLINE_SECONDS


async def test_headers_that_never_end(mesh: Mesh, shop: Any) -> None:
    async with connection(mesh) as (reader, writer):
        writer.write(head(shop)[:-2])
        status, _ = await answer_of(reader, 30)
    assert status in (0, 408)


@pytest.mark.parametrize(
    ("headers", "body", "statuses"),
    [
        (["content-length: -1"], b"{}", (400,)),
        (["content-length: 0x10"], b"{}", (400,)),
        (["content-length: two"], b"{}", (400,)),
        (["content-length: 99999999999999999999999999"], b"{}", (400, 413)),
        (["content-length: 2", "content-length: 3"], b"{}x", (400,)),
        (["content-length: 2", "transfer-encoding: chunked"], b"2\r\n{}\r\n0\r\n\r\n", (400,)),
        (["transfer-encoding: chunked"], b"zz\r\n{}\r\n0\r\n\r\n", (400,)),
        (["transfer-encoding: chunked"], b"ffffffffffffffffff\r\n{}", (400, 413)),
        (["transfer-encoding: gzip"], b"{}", (400, 501)),
        # Without a length there is no body, which is no JSON.
        ([], b"", (400,)),
        (["content-length: 0"], b"", (400,)),
        # Shorter than what comes: the rest is taken for another request, and is none.
        (["content-length: 1"], b"{}", (400,)),
    ],
)
async def test_a_wrong_length(
    mesh: Mesh, shop: Any, headers: list[str], body: bytes, statuses: tuple[int, ...]
) -> None:
    async with connection(mesh) as (reader, writer):
        writer.write(head(shop, *headers) + body)
        status, _ = await answer_of(reader)
    assert status in statuses


async def test_a_body_that_breaks_off_is_no_request(mesh: Mesh, gateway: Gateway, shop: Any) -> None:
    made = payment(shop.tenant_id)
    text = msgspec.json.encode({"events": [made]})
    async with connection(mesh) as (_, writer):
        writer.write(head(shop, f"content-length: {len(text) + 1}") + text)
        await writer.drain()
        await asyncio.sleep(0.5)
    receipt = await gateway.client.get(
        f"/api/v2/events/receipts/{made['event_metadata']['event_id']}", headers=shop.headers
    )
    assert receipt.status_code == 404


@pytest.mark.parametrize(
    ("headers", "statuses"),
    [
        ({"x-large": "x" * 59_000}, (202, 431)),
        ({"x-large": "x" * 100_000}, (431, 0)),
        ({f"x-{n}": "1" for n in range(150)}, (431, 0)),
        ({"idempotency-key": "k" * 256}, (400,)),
        ({"content-type": "application/json; charset=no-such-thing"}, (202,)),
        ({"x_underscore": "1"}, (400,)),
    ],
)
async def test_headers_at_the_edge(
    gateway: Gateway, shop: Any, headers: dict[str, str], statuses: tuple[int, ...]
) -> None:
    answer = await gateway.client.post(
        PATH, json={"events": [payment(shop.tenant_id)]}, headers={**shop.headers, **headers}
    )
    assert answer.status_code in statuses
    if answer.status_code != 202:
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "TRACE", "QUERY", "BREW"])
async def test_another_method_is_told_which_there_is(gateway: Gateway, shop: Any, method: str) -> None:
    # QUERY without a content type is unreadable to Envoy, as its draft demands.
    headers = {**shop.headers, "content-type": "application/json"}
    answer = await gateway.client.request(method, PATH, headers=headers)
    assert answer.status_code == 405
    assert "POST" in answer.headers["allow"]
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/api/v2/events/quarantine/mend", "POST"),
        ("/api/v2/events/drift", "GET"),
        ("/api/v2/anomalies/active", "GET"),
        ("/api/v2/analytics/metrics", "GET"),
        ("/api/v2/data/export/gdpr", "POST"),
        ("/api/v2/admin/tenants", "GET, POST"),
    ],
)
async def test_every_service_names_the_methods_of_a_path(gateway: Gateway, shop: Any, path: str, allowed: str) -> None:
    answer = await gateway.client.request("DELETE", path, headers=shop.headers)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


@pytest.mark.skipif(
    not FILES, reason="JSONTestSuite is not here: set WEIR_DATA to the folder that holds json-test-suite"
)
async def test_a_tenth_of_the_json_test_suite(gateway: Gateway, shop: Any) -> None:
    """All of it goes through the same application without sockets, in ingest's own tests."""
    wrong = {}
    for path in FILES[::10]:
        text = path.read_bytes()
        alone = await gateway.client.post(
            PATH, content=text, headers={**shop.headers, "content-type": "application/json"}
        )
        event = msgspec.json.encode({**payment(shop.tenant_id), "x_more": "--here--"}).replace(b'"--here--"', text)
        inside = await gateway.client.post(
            PATH, content=b'{"events":[%s]}' % event, headers={**shop.headers, "content-type": "application/json"}
        )
        allowed = {"y": (202, 422), "n": (400, 413, 422), "i": (202, 400, 413, 422)}[path.name[0]]
        if not 400 <= alone.status_code < 500 or inside.status_code not in allowed:
            wrong[path.name] = (alone.status_code, inside.status_code)
    assert wrong == {}
