"""The public contract through the gateway: results, problems, limits, and who may enter."""

from __future__ import annotations

import asyncio
import copy
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from weir_local.demo import attacks
from weir_local.demo.api import Gateway

pytestmark = pytest.mark.e2e


def purchase(tenant: str) -> dict[str, Any]:
    return attacks.payment(tenant, str(uuid.uuid4()), datetime.now(UTC))


async def test_each_event_has_its_own_result_and_a_repeat_is_a_duplicate_with_the_first_receipt(
    gateway: Gateway, shop: Any
) -> None:
    good, broken = purchase(shop.tenant_id), purchase(shop.tenant_id)
    broken["event_metadata"]["timestamp"] = "yesterday"
    answer = await gateway.client.post("/api/v2/events/batch", json={"events": [good, broken]}, headers=shop.headers)
    assert answer.status_code == 207
    first, second = answer.json()["results"]
    assert first["status"] == "accepted"
    assert second["errors"] == [
        {"pointer": "/event_metadata/timestamp", "expected": "an RFC 3339 date-time", "got": '"yesterday"'}
    ]
    again = await gateway.client.post("/api/v2/events/batch", json={"events": [good]}, headers=shop.headers)
    assert again.status_code == 202
    assert again.json()["results"][0] | {"status": "accepted"} == first
    assert again.json()["results"][0]["status"] == "duplicate"
    receipt = await gateway.client.get(f"/api/v2/events/receipts/{first['event_id']}", headers=shop.headers)
    assert receipt.json()["receipt"] == first["receipt"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b"[]", 422),
        (b'{"events": {}}', 422),
        (b'{"events": []}', 422),
        (b'{"events": [1]}', 422),
        (b'{"events": [{}]}', 422),
        (b"[" * 20_000, 422),
    ],
)
async def test_a_bad_body_is_a_problem_and_never_a_500(gateway: Gateway, shop: Any, body: bytes, status: int) -> None:
    answer = await gateway.client.post("/api/v2/events/batch", content=body, headers=shop.headers)
    assert answer.status_code == status
    if "results" not in answer.json():
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == status


async def test_a_batch_over_the_limit_says_the_limit(gateway: Gateway, shop: Any) -> None:
    answer = await gateway.client.post("/api/v2/events/batch", json={"events": [{}] * 1_001}, headers=shop.headers)
    assert answer.status_code == 413
    assert answer.json()["limit_events"] == 1_000


@pytest.mark.parametrize("headers", [{}, {"x-api-key": "weir_live_x"}, {"authorization": "Bearer ey.J.x"}])
async def test_without_a_good_credential_there_is_401(gateway: Gateway, headers: dict[str, str]) -> None:
    answer = await gateway.client.post("/api/v2/events/batch", json={"events": [{}]}, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == 401
    assert not problem.get("detail", "").startswith("{"), "a document within a document"
    if "authorization" not in headers:  # a token that is none is refused by the gateway itself
        assert problem["instance"] == "/api/v2/events/batch"


async def test_a_token_is_as_good_as_the_key_that_it_was_made_from(gateway: Gateway, make_shop: Any) -> None:
    mine, other = await make_shop(), await make_shop()
    made = await gateway.client.post(
        "/api/v2/auth/token", data={"grant_type": "client_credentials", "client_secret": mine.key}
    )
    assert made.status_code == 200
    bearer = {"authorization": f"Bearer {made.json()['access_token']}"}
    path = "/api/v2/analytics/realtime/dashboard"
    assert (await gateway.client.get(path, params={"tenant_id": mine.tenant_id}, headers=bearer)).status_code == 200
    assert (await gateway.client.get(path, params={"tenant_id": other.tenant_id}, headers=bearer)).status_code == 403
    head, payload, signature = made.json()["access_token"].split(".")
    forged = {"authorization": f"Bearer {head}.{payload}.{signature[::-1]}"}
    assert (await gateway.client.get(path, headers=forged)).status_code == 401


async def test_another_tenants_data_are_refused_and_the_attempt_is_audited(gateway: Gateway, make_shop: Any) -> None:
    mine, other = await make_shop(), await make_shop()
    foreign = {"tenant_id": other.tenant_id}
    answers = [
        await gateway.client.get("/api/v2/analytics/realtime/dashboard", params=foreign, headers=mine.headers),
        await gateway.client.get("/api/v2/anomalies/active", params=foreign, headers=mine.headers),
        await gateway.client.get("/api/v2/metrics/sla", params=foreign, headers=mine.headers),
        await gateway.client.post("/api/v2/ml/inference/fraud", json=purchase(other.tenant_id), headers=mine.headers),
        await gateway.client.post(
            "/api/v2/events/batch", json={"events": [purchase(other.tenant_id)]}, headers=mine.headers
        ),
        await gateway.client.post(
            "/api/v2/data/export/gdpr",
            json={"tenant_id": other.tenant_id, "subject": {"user_id": "someone"}},
            headers=mine.headers,
        ),
    ]
    assert [answer.status_code for answer in answers] == [403] * len(answers)
    assert {answer.headers["content-type"] for answer in answers} == {"application/problem+json"}
    async with asyncio.timeout(20):
        while True:
            entries = await gateway.client.get(
                "/api/v2/audit/entries", params={"tenant_id": mine.tenant_id, "limit": 100}, headers=mine.headers
            )
            denied = [entry for entry in entries.json()["entries"] if entry["entry"]["outcome"] == "denied"]
            if len(denied) >= len(answers):
                break
            await asyncio.sleep(0.3)


async def test_an_accepted_event_is_on_the_dashboard_within_a_second(gateway: Gateway, shop: Any) -> None:
    event = copy.deepcopy(purchase(shop.tenant_id))
    # The first batch after a pause also pays for connections; the promise is about a running shop.
    await gateway.send_batch(shop.key, [purchase(shop.tenant_id)])
    await asyncio.sleep(1.5)
    await gateway.send_batch(shop.key, [event])
    sent = datetime.now(UTC)
    while True:
        answer = await gateway.client.get(
            "/api/v2/analytics/realtime/dashboard", params={"tenant_id": shop.tenant_id}, headers=shop.headers
        )
        figures = answer.json()["metrics"]["orders"]["figures"]
        if figures and int(figures[0]["value"]) == 2:
            break
        assert datetime.now(UTC) - sent < timedelta(seconds=3), "not visible after three seconds"
        await asyncio.sleep(0.05)
    assert datetime.now(UTC) - sent < timedelta(seconds=1.5)
