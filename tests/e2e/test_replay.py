"""`weir fraud replay`: decisions that the running mesh made, by every way in and under a policy, are the same when they are made again."""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import grpc
import msgspec
import pytest
from typer.testing import CliRunner, Result
from weir.fraud.v1 import fraud_pb2, fraud_pb2_grpc
from weir_common.grpc import grpc_channel
from weir_fraud.cli import fraud
from weir_local.addresses import environment_of
from weir_local.demo import attacks
from weir_local.demo.api import Gateway
from weir_local.mesh import Mesh

pytestmark = pytest.mark.e2e

A_WAY = 7


@pytest.fixture
def environment(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the command reads: this mesh."""
    for name, value in environment_of(mesh, "fraud").items():
        monkeypatch.setenv(name, value)


async def run(*arguments: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, fraud, ["replay", *arguments])


def payments(shop: Any) -> list[dict[str, Any]]:
    """Of a few people, an hour apart and more, with amounts from small to large."""
    made = []
    for number in range(A_WAY):
        at = datetime.now(UTC) - timedelta(hours=A_WAY - number)
        event = attacks.payment(shop.tenant_id, str(uuid.uuid4()), at)
        event["event_data"]["user_context"]["user_id"] = f"user {number % 3}"
        business = event["event_data"]["business_context"]["transaction_context"]["cart_context"]
        business["cart_value"]["final_total"] = 10.0 ** (number % 4)
        made.append(event)
    return made


POLICY = {
    "thresholds": {"review": 0.001, "decline": 0.9},
    "deny": [{"kind": "user", "value": "user 1", "reason": "e2e"}],
    "rules": [
        {"name": "large", "expression": "has(features.amount) && amount > 500.0", "action": "decline", "reason": "e2e"}
    ],
}


async def person(gateway: Gateway, shop: Any, name: str) -> dict[str, str]:
    """A token of a person of the shop."""
    path = f"/api/v2/admin/tenants/{shop.tenant_id}/tokens"
    answer = await gateway.operator("POST", path, json={"subject": name, "roles": ["admin"]})
    answer.raise_for_status()
    return {"authorization": f"Bearer {answer.json()['access_token']}"}


async def put_in_force(gateway: Gateway, maker: dict[str, str], checker: dict[str, str]) -> None:
    """And wait as long as is promised."""
    for who, method, path, body in (
        (maker, "PUT", "draft", POLICY),
        (maker, "POST", "draft/submit", {"revision": 1, "note": "e2e"}),
        (checker, "POST", "versions/1/approve", {"note": "seen"}),
    ):
        answer = await gateway.client.request(method, f"/api/v2/ml/policies/fraud/{path}", json=body, headers=who)
        assert answer.is_success, answer.text
    await asyncio.sleep(5)


async def decided_by_every_way(gateway: Gateway, channel: grpc.aio.Channel, shop: Any) -> list[str]:
    """Event ids of decisions by REST, by gRPC one by one and together, and on the stream."""
    rest, single, batch, stream = (payments(shop) for _ in range(4))
    stub = fraud_pb2_grpc.FraudServiceStub(channel)
    metadata = (("x-api-key", shop.key),)
    for event in rest:
        answer = await gateway.client.post("/api/v2/ml/inference/fraud", json={"event": event}, headers=shop.headers)
        assert answer.status_code == 200, answer.text
    for event in single:
        one = fraud_pb2.ScoreTransactionRequest(tenant_id=shop.tenant_id, event=msgspec.json.encode(event))
        await stub.ScoreTransaction(one, metadata=metadata, timeout=5)
    together = fraud_pb2.ScoreTransactionsRequest(
        tenant_id=shop.tenant_id, events=[msgspec.json.encode(event) for event in batch]
    )
    answers = await stub.ScoreTransactions(together, metadata=metadata, timeout=5)
    assert [one.WhichOneof("result") for one in answers.results] == ["decision"] * A_WAY
    sent = await gateway.client.post("/api/v2/events/batch", json={"events": stream}, headers=shop.headers)
    assert sent.status_code == 202, sent.text
    events: list[str] = [event["event_metadata"]["event_id"] for event in (*rest, *single, *batch, *stream)]
    async with asyncio.timeout(20):
        for event_id in events:
            path = f"/api/v2/ml/decisions/{event_id}"
            while (await gateway.client.get(path, headers=shop.headers)).status_code == 404:
                await asyncio.sleep(0.05)
    return events


@pytest.mark.usefixtures("environment")
async def test_decisions_of_the_mesh_are_the_same_when_they_are_made_again(
    gateway: Gateway, mesh: Mesh, shop: Any, superuser: asyncpg.Connection
) -> None:
    ann = await person(gateway, shop, "ann")
    bob = await person(gateway, shop, "bob")
    async with grpc_channel(f"127.0.0.1:{mesh.port('fraud-grpc')}") as channel:
        events = await decided_by_every_way(gateway, channel, shop)
        await put_in_force(gateway, ann, bob)
        events += await decided_by_every_way(gateway, channel, shop)
    told = await superuser.fetch(
        "SELECT DISTINCT policy_version, coalesce(policy_rule, '') AS rule FROM fraud.decision WHERE tenant_id = $1",
        shop.tenant_id,
    )
    assert {(row["policy_version"], row["rule"]) for row in told} == {(0, ""), (1, ""), (1, "deny:user"), (1, "large")}

    result = await run(*events, "--tenant", shop.tenant_id, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["identical"] is True
    assert [one["event_id"] for one in document["replays"]] == events
    assert len(events) == 8 * A_WAY

    # Behind the service's back: a bit of one, which no version of anything gives.
    await superuser.execute(
        "UPDATE fraud.decision SET outcome = 'decline', margin = margin + 1e-9 WHERE tenant_id = $1 AND event_id = $2",
        shop.tenant_id,
        uuid.UUID(events[0]),
    )
    result = await run(events[0], events[1], "--tenant", shop.tenant_id, "--json")
    assert result.exit_code == 1, result.output
    changed, same = json.loads(result.stdout)["replays"]
    assert [found["pointer"] for found in changed["differences"]] == ["/margin", "/outcome"]
    assert same["identical"] is True
    shown = await run(events[0], "--tenant", shop.tenant_id)
    assert shown.exit_code == 1
    assert "different" in shown.stdout
    assert "/outcome" in shown.stdout

    nobody = await run(events[1], "--tenant", "somebody-else")
    assert nobody.exit_code == 2
    assert "no decision" in nobody.output
