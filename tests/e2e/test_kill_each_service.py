"""kill -9 of each service in turn while purchases are replayed: nothing accepted is lost, nothing counts twice."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from weir_local.demo import recompute, shoppers
from weir_local.demo.api import Gateway
from weir_local.demo.replay import replay
from weir_local.mesh import Mesh
from weir_local.processes import Processes

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

VICTIMS = ("ingest", "fraud", "anomaly", "analytics", "compliance", "tenant-admin")
RATE = 100.0
EVENTS = 4_000


async def test_the_dashboard_still_equals_the_recomputation(gateway: Gateway, mesh: Mesh, make_shop: Any) -> None:
    shops = [await make_shop() for _ in range(2)]
    keys = {shop.tenant_id: shop.key for shop in shops}
    last_day = datetime.now(UTC).date() - timedelta(days=1)
    events = [
        event
        for basket in shoppers.baskets(last_day)[:220]
        for event in shoppers.session_events(basket, shoppers.tenant_of(basket, sorted(keys)))
    ]
    events.sort(key=lambda event: (event["event_metadata"]["timestamp"], event["event_metadata"]["event_id"]))
    replaying = asyncio.create_task(replay(gateway, keys, events[:EVENTS], RATE, lambda _: None))
    for victim in VICTIMS:
        await asyncio.sleep(3)
        await kill_and_restart(mesh, victim)
    sent = await replaying
    assert sent.unexpected == []
    start = datetime.combine(last_day - timedelta(days=1), datetime.min.time(), UTC) - timedelta(hours=1)
    for shop in shops:
        mine = [event for event in sent.accepted.values() if event["tenant_id"] == shop.tenant_id]
        wrong = await different(gateway, shop, mine, start)
        assert wrong == []
        assert await books_of(gateway, shop) == {
            "analytics.books": len(mine),
            "analytics.lake.events": len(mine),
            "anomaly.rules": len(mine),
            "fraud.score": len(mine),
        }


async def books_of(gateway: Gateway, shop: Any) -> dict[str, int]:
    """Different events that each consumer has dealt with, once the ledger says that nothing is on its way any more."""
    document: dict[str, Any] = {}
    for _ in range(180):
        answer = await gateway.client.get("/api/v2/ops/ledger", headers=shop.headers)
        document = answer.json()
        places = {one["place"] for minute in document["minutes"] for one in minute["differences"]}
        if places <= {"unanswered"}:
            break
        await asyncio.sleep(0.5)
    assert document["balanced"], document
    return {name: done["applied"] + done["quarantined"] for name, done in document["consumers"].items()}


async def kill_and_restart(mesh: Mesh, service: str) -> None:
    """SIGKILL by the pid that we know, then start it again as an operator would."""
    running = Processes(mesh.state).alive(service)
    assert running is not None
    os.kill(running.identity.pid, signal.SIGKILL)
    process = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("weir")), "restart", service),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()


async def different(gateway: Gateway, shop: Any, events: list[shoppers.Event], start: datetime) -> list[str]:
    """Figures that differ from the recomputation; decisions are counted by their payments."""
    payments = {
        event["event_metadata"]["event_id"]: "approve"
        for event in events
        if event["event_data"]["event_type"] == "transaction"
    }
    expected = recompute.figures(events, payments)
    wrong: list[str] = []
    for _ in range(120):
        answer = await gateway.client.get(
            "/api/v2/analytics/realtime/dashboard",
            params={
                "tenant_id": shop.tenant_id,
                "from": start.isoformat(),
                "to": (start + timedelta(days=2, hours=1)).isoformat(),
            },
            headers=shop.headers,
        )
        shown = recompute.dashboard_figures(answer.json(), shoppers.CURRENCY) if answer.status_code == 200 else None
        if shown is not None:
            # How many were declined is the model's business; how many were decided must be all, once.
            shown["fraud_rate"][0] = expected["fraud_rate"][0]
            wrong = recompute.differences(expected, shown)
            if not wrong:
                return []
        await asyncio.sleep(0.5)
    return wrong or ["dashboard not reachable"]
