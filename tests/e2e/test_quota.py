"""A tenant over its quota is refused before anybody works for it, gets what its quota allows, and nobody else notices."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from weir_local.demo import attacks
from weir_local.demo.api import Gateway

pytestmark = pytest.mark.e2e

PATH = "/api/v2/events/batch"
RATE = 40.0
BURST = 400
"""Ten seconds' worth."""
REFUSED = "The tenant's quota is used up; the request was not read. Send it again after Retry-After."


def events(tenant: str, count: int) -> dict[str, Any]:
    return {"events": [attacks.payment(tenant, str(uuid.uuid4()), datetime.now(UTC)) for _ in range(count)]}


class Sender:
    """Sends, and counts what it was told."""

    def __init__(self, gateway: Gateway, shop: Any) -> None:
        self._gateway = gateway
        self.shop = shop
        self.fates: Counter[str] = Counter()
        self.answers: Counter[tuple[int, bool]] = Counter()
        """By status, and whether the events were looked at."""
        self._until = 0.0

    async def send(self, count: int, **headers: str) -> httpx.Response:
        body = events(self.shop.tenant_id, count)
        answer = await self._gateway.client.post(PATH, json=body, headers={**self.shop.headers, **headers})
        document = answer.json()
        self.answers[answer.status_code, "results" in document] += 1
        self.fates.update(document.get("summary", {}))
        return answer

    async def send_until(self, moment: float) -> None:
        """More than the quota has room for, by several connections; `stop` ends it before."""
        self._until = moment

        async def one() -> None:
            while time.monotonic() < self._until:
                await self.send(20)

        await asyncio.gather(*(one() for _ in range(4)))

    def stop(self) -> None:
        """Send nothing more. Not by cancelling: httpcore leaves a connection open whose handshake is cancelled."""
        self._until = 0.0

    async def use_up(self) -> None:
        """All that was saved up, until nothing is left."""
        while (await self.send(100)).status_code == 202:
            pass


async def counted_at_the_door(gateway: Gateway, shop: Any, received: int) -> dict[str, Any]:
    """The books, once they balance over so many events that came in."""
    books: dict[str, Any] = {}
    async with asyncio.timeout(60):
        while not (books.get("balanced") and books["received"] == received):
            await asyncio.sleep(0.5)
            books = (await gateway.client.get("/api/v2/ops/ledger", headers=shop.headers)).json()
    return books


async def test_a_tenant_over_its_quota_is_refused_unread_and_gets_what_its_quota_allows(
    gateway: Gateway, make_shop: Any
) -> None:
    loud = Sender(gateway, await make_shop(quota_events_per_second=RATE))
    quiet = Sender(gateway, await make_shop())
    began = time.monotonic()
    await loud.use_up()
    refused = await loud.send(5)
    assert refused.status_code == 429
    assert refused.headers["content-type"] == "application/problem+json"
    assert (refused.json()["detail"], refused.json()["instance"]) == (REFUSED, PATH)
    assert refused.headers["retry-after"].isdigit()
    assert refused.headers["ratelimit-policy"] == f'"events";q={BURST};w=10'
    assert refused.headers["ratelimit"].startswith('"events";r=0;t=')
    assert "connection" not in refused.headers, "a new connection would cost more than the answer"
    assert not [name for name in refused.headers if name.startswith("x-weir-")], (
        "what ingest and gateway tell each other"
    )
    sending = asyncio.create_task(loud.send_until(began + 12))
    while not sending.done():
        await quiet.send(1)
        await asyncio.sleep(0.2)
    await sending
    allowed = RATE * (time.monotonic() - began)
    assert 0.9 * allowed <= loud.fates["accepted"] - BURST <= 1.1 * allowed
    assert loud.answers[429, False] > 0.5 * loud.answers.total(), loud.answers
    assert set(quiet.answers) == {(202, True)}
    # What was refused unread was not received; what was read has its row, throttled or not.
    received = sum(count for fate, count in loud.fates.items() if fate != "received")
    assert loud.fates["received"] == received
    fates = (await counted_at_the_door(gateway, loud.shop, received))["fates"]
    assert (fates["accepted"], fates["throttled"]) == (loud.fates["accepted"], loud.fates["throttled"])


async def test_only_events_and_only_this_tenant_are_refused(gateway: Gateway, make_shop: Any) -> None:
    loud, quiet = Sender(gateway, await make_shop(quota_events_per_second=RATE)), Sender(gateway, await make_shop())
    await loud.use_up()
    receipt = f"/api/v2/events/receipts/{uuid.uuid4()}"
    answers = await asyncio.gather(
        loud.send(1),
        quiet.send(1),
        gateway.client.get(receipt, headers=loud.shop.headers),
        gateway.client.post(
            "/api/v2/ml/inference/fraud", json=events(loud.shop.tenant_id, 1)["events"][0], headers=loud.shop.headers
        ),
    )
    assert [answer.status_code for answer in answers] == [429, 202, 404, 200]


async def test_a_body_that_the_gateway_will_not_read_is_refused_as_well(gateway: Gateway, make_shop: Any) -> None:
    loud = Sender(gateway, await make_shop(quota_events_per_second=RATE))
    await loud.use_up()
    sending = asyncio.create_task(loud.send_until(time.monotonic() + 15))
    seen = set()
    while not sending.done() and (429, REFUSED) not in seen:
        answer = await gateway.client.post(PATH, content=b" " * 4_000_000, headers=loud.shop.headers)
        seen.add((answer.status_code, answer.json()["detail"]))
    loud.stop()
    await sending
    # Between two pauses it is read, and is no JSON.
    assert (429, REFUSED) in seen
    assert {status for status, _ in seen} <= {400, 429}


async def test_nobody_says_by_a_header_of_his_own_what_the_gateway_would_say(gateway: Gateway, make_shop: Any) -> None:
    loud = Sender(gateway, await make_shop(quota_events_per_second=RATE))
    quiet = Sender(gateway, await make_shop())
    forged = {"x-weir-pause": f"1000 {quiet.shop.tenant_id}", "x-weir-refused-unread": "900000 900000"}
    await loud.send(500, **forged)
    assert (await loud.send(1, **forged)).status_code == 429
    for _ in range(3):
        answer = await quiet.send(1, **forged)
        assert answer.status_code == 202
        assert not [name for name in answer.headers if name.startswith("x-weir-")]
