"""Valkey is held still: who waits is answered in time and told how, and the histories are whole afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import grpc
import msgspec
import pytest
from typer.testing import CliRunner
from weir.fraud.v1 import fraud_pb2, fraud_pb2_grpc
from weir_common.grpc import grpc_channel
from weir_fraud.cli import fraud
from weir_local.addresses import environment_of
from weir_local.demo import attacks
from weir_local.demo.api import Gateway
from weir_local.mesh import Mesh
from weir_local.processes import Processes

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

DEADLINE_SECONDS = 1.0
DEGRADED = ["features_unavailable"]


@pytest.fixture
def environment(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the command reads: this mesh."""
    for name, value in environment_of(mesh, "fraud").items():
        monkeypatch.setenv(name, value)


@asynccontextmanager
async def held_still(mesh: Mesh, component: str) -> AsyncIterator[None]:
    """It takes connections and says nothing."""
    running = Processes(mesh.state).alive(component)
    assert running is not None
    os.kill(running.identity.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(running.identity.pid, signal.SIGCONT)


class Till:
    """Sends payments of one person, a minute apart, and keeps what it was told."""

    def __init__(self, channel: grpc.aio.Channel, shop: Any) -> None:
        self._stub = fraud_pb2_grpc.FraudServiceStub(channel)
        self._shop = shop
        self._at = datetime.now(UTC) - timedelta(minutes=50)
        self.told: dict[str, fraud_pb2.Decision] = {}
        self.events: dict[str, dict[str, Any]] = {}

    def event(self) -> dict[str, Any]:
        self._at += timedelta(minutes=1)
        event = attacks.payment(self._shop.tenant_id, str(uuid.uuid4()), self._at)
        event["event_data"]["user_context"]["user_id"] = "ann"
        self.events[event["event_metadata"]["event_id"]] = event
        return event

    async def pay(self) -> fraud_pb2.Decision:
        event = self.event()
        one = fraud_pb2.ScoreTransactionRequest(tenant_id=self._shop.tenant_id, event=msgspec.json.encode(event))
        answer = await self._stub.ScoreTransaction(
            one, metadata=(("x-api-key", self._shop.key),), timeout=DEADLINE_SECONDS
        )
        self.told[answer.decision.event_id] = answer.decision
        return answer.decision


def count(decision: fraud_pb2.Decision) -> float:
    """How many payments of the hour the histories had, with this one."""
    return {part.feature: part.value for part in decision.contributions}["user_payment_count_1h"]


@pytest.mark.usefixtures("environment")
async def test_valkey_held_still(gateway: Gateway, mesh: Mesh, shop: Any, superuser: asyncpg.Connection) -> None:
    async with grpc_channel(f"127.0.0.1:{mesh.port('fraud-grpc')}") as channel:
        till = Till(channel, shop)
        before = [await till.pay() for _ in range(3)]
        assert [list(one.degraded) for one in before] == [[]] * 3
        assert [count(one) for one in before] == [1, 2, 3]

        async with held_still(mesh, "valkey"):
            began = time.perf_counter()
            without = [await till.pay() for _ in range(12)]
            seconds = time.perf_counter() - began
            rest = till.event()
            answer = await gateway.client.post("/api/v2/ml/inference/fraud", json={"event": rest}, headers=shop.headers)
            ready = await gateway.client.get(f"http://127.0.0.1:{mesh.port('fraud-http')}/readyz")
        assert [list(one.degraded) for one in without] == [DEGRADED] * 12
        assert fraud_pb2.OUTCOME_APPROVE not in {one.outcome for one in without}
        assert (answer.status_code, answer.json()["degraded"]) == (200, DEGRADED)
        # Not each waits for the whole deadline of the histories.
        assert seconds < 12 * 0.25
        assert ready.status_code == 200, ready.text

        async with asyncio.timeout(60):
            while await superuser.fetchval("SELECT count(*) FROM fraud.unobserved_payment"):
                await asyncio.sleep(0.2)
            while (after := await till.pay()).degraded:
                await asyncio.sleep(0.3)
    # Every payment but this one was in the hour before it, those that were decided without histories, too; one that was degraded while we
    # waited for the next may still be on its way.
    waiting = sum(bool(one.degraded) for one in till.told.values()) - 12
    assert len(till.events) - waiting <= count(after) <= len(till.events)

    # The same payments on the stream change nothing.
    sent = await gateway.client.post(
        "/api/v2/events/batch", json={"events": [*till.events.values()]}, headers=shop.headers
    )
    assert sent.status_code == 202, sent.text
    async with asyncio.timeout(30):
        while await applied(gateway, shop) < len(till.events):
            await asyncio.sleep(0.3)
    for event_id, decision in till.told.items():
        kept = (await gateway.client.get(f"/api/v2/ml/decisions/{event_id}", headers=shop.headers)).json()
        assert (kept["score"], kept["degraded"]) == (decision.score, list(decision.degraded))

    arguments = ["replay", *till.events, "--tenant", shop.tenant_id, "--json"]
    result = await asyncio.to_thread(CliRunner().invoke, fraud, arguments)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["identical"] is True


async def applied(gateway: Gateway, shop: Any) -> int:
    """Events that the scorer of the stream has dealt with."""
    books = (await gateway.client.get("/api/v2/ops/ledger", headers=shop.headers)).json()
    return int(books.get("consumers", {}).get("fraud.score", {}).get("applied", 0))
