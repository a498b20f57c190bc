"""Services that are held still (SIGSTOP, a paused machine) for longer than every deadline go on where they were."""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from weir_local.demo import attacks
from weir_local.demo.api import Gateway
from weir_local.mesh import Mesh
from weir_local.processes import Processes

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

SERVICES = ("ingest", "fraud", "anomaly", "analytics", "compliance", "tenant-admin")
HELD_SECONDS = 25.0
"""Above the deadlines of requests, fetches and group sessions."""


async def test_all_services_held_still_go_on(gateway: Gateway, mesh: Mesh, shop: Any) -> None:
    processes = Processes(mesh.state)
    before = {service: processes.alive(service) for service in SERVICES}
    pids = [running.identity.pid for running in before.values() if running is not None]
    assert len(pids) == len(SERVICES)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(HELD_SECONDS)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    await asyncio.sleep(5)
    assert {service: processes.alive(service) for service in SERVICES} == before
    async with asyncio.timeout(60):
        while not await _counted(gateway, shop):
            await asyncio.sleep(0.5)


async def _counted(gateway: Gateway, shop: Any) -> bool:
    """An event that is sent now passes ingest, and every consumer does it."""
    event = attacks.payment(shop.tenant_id, str(uuid.uuid4()), datetime.now(UTC))
    answer = await gateway.client.post("/api/v2/events/batch", json={"events": [event]}, headers=shop.headers)
    if answer.status_code != 202:
        return False
    for _ in range(90):
        books = (await gateway.client.get("/api/v2/ops/ledger", headers=shop.headers)).json()
        done = [consumer["applied"] for consumer in books.get("consumers", {}).values()]
        if len(done) == 4 and min(done) >= 1:
            return True
        await asyncio.sleep(0.5)
    return False
