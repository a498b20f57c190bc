"""A receipt tells how far its event has come."""

from __future__ import annotations

import asyncio
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from weir_local.demo import attacks
from weir_local.demo.api import Gateway

pytestmark = pytest.mark.e2e


async def test_an_event_is_scored_checked_counted_and_within_a_minute_archived(gateway: Gateway, shop: Any) -> None:
    event_id = str(uuid.uuid4())
    await gateway.send_batch(shop.key, [attacks.payment(shop.tenant_id, event_id, datetime.now(UTC))])
    sent = time.monotonic()
    seconds: dict[str, float] = {}
    async with asyncio.timeout(70):
        while len(seconds) < 4:
            answer = await gateway.client.get(f"/api/v2/events/receipts/{event_id}", headers=shop.headers)
            assert answer.status_code == 200, answer.text
            fates = answer.json()["fates"]
            assert [fate["stage"] for fate in fates] == ["scored", "checked", "counted", "archived"]
            for fate in fates:
                if fate["state"] == "done":
                    seconds.setdefault(fate["stage"], time.monotonic() - sent)
                else:
                    assert fate["stage"] not in seconds, "what is done stays done"
            await asyncio.sleep(0.2)
    assert max(seconds[stage] for stage in ("scored", "checked", "counted")) < 15, seconds
    assert seconds["archived"] < 60, seconds
    decision = await gateway.client.get(f"/api/v2/ml/decisions/{event_id}", headers=shop.headers)
    assert decision.status_code == 200, "scored means that there is a decision"
