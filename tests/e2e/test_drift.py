"""A field that no schema knows is kept with its event, and reported."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from weir_local.demo import attacks
from weir_local.demo.api import Gateway

pytestmark = pytest.mark.e2e

PATH = "/api/v2/events/drift"


async def test_an_unknown_field_is_reported_to_its_tenant(gateway: Gateway, shop: Any, make_shop: Any) -> None:
    events = [attacks.payment(shop.tenant_id, str(uuid.uuid4()), datetime.now(UTC)) for _ in range(3)]
    for number, event in enumerate(events):
        event["event_data"]["loyalty"] = {"points": number}
    await gateway.send_batch(shop.key, events)
    async with asyncio.timeout(20):
        while True:
            answer = await gateway.client.get(PATH, headers=shop.headers)
            assert answer.status_code == 200, answer.text
            if fields := answer.json()["fields"]:
                break
            await asyncio.sleep(0.2)
    assert [(one["field"], one["events"], one["days"]) for one in fields] == [("/event_data/loyalty", 3, 1)]
    other = await make_shop()
    assert (await gateway.client.get(PATH, headers=other.headers)).json()["fields"] == []


@pytest.mark.parametrize("days", ["0", "91", "x", "1e9"])
async def test_a_number_of_days_that_is_none_is_refused(gateway: Gateway, shop: Any, days: str) -> None:
    answer = await gateway.client.get(PATH, params={"days": days}, headers=shop.headers)
    assert answer.status_code in (400, 422)
    assert answer.json()["errors"][0]["parameter"] == "days"
