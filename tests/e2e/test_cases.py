"""A payment to review, from its decision to the label on the topic, through the gateway."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime
from typing import Any

import asyncpg
import msgspec
import pytest
from aiokafka import AIOKafkaConsumer
from weir_common.kafka.topics import LABELS
from weir_local.demo.api import Gateway
from weir_local.demo.attacks import event_id as event_id_of
from weir_local.demo.to_review import payment_to_review
from weir_local.mesh import Mesh

pytestmark = pytest.mark.e2e

CASES = "/api/v2/ml/cases"
FEEDBACK = "/api/v2/ml/feedback/fraud"


async def get(gateway: Gateway, shop: Any, path: str, **parameters: Any) -> dict[str, Any]:
    answer = await gateway.client.get(path, params=parameters, headers=shop.headers)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def labels_on_the_topic(mesh: Mesh, tenant: str, count: int, seconds: float = 20) -> list[dict[str, Any]]:
    """The first `count` labels of a tenant, with their partition."""
    found: list[dict[str, Any]] = []
    consumer = AIOKafkaConsumer(
        LABELS,
        bootstrap_servers=f"127.0.0.1:{mesh.port('kafka')}",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    async with asyncio.timeout(seconds):
        await consumer.start()
        try:
            while len(found) < count:
                batches = await consumer.getmany(timeout_ms=500)
                found += [
                    {**msgspec.json.decode(record.value), "key": record.key, "headers": dict(record.headers)}
                    for records in batches.values()
                    for record in records
                    if dict(record.headers)["weir-tenant"] == tenant.encode()
                ]
        finally:
            await consumer.stop()
    return found


async def audited(gateway: Gateway, shop: Any, action: str, count: int, seconds: float = 20) -> list[dict[str, Any]]:
    """The entries of an action in the tenant's audit log, once there are so many."""
    async with asyncio.timeout(seconds):
        while True:
            page = await get(gateway, shop, "/api/v2/audit/entries", tenant_id=shop.tenant_id, limit=200)
            entries = [entry["entry"] | {"detail": entry["detail"]} for entry in page["entries"]]
            found = [entry for entry in entries if entry["action"] == action]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.2)


async def test_a_payment_to_review_becomes_a_label(gateway: Gateway, shop: Any, mesh: Mesh) -> None:
    event_id = event_id_of(await payment_to_review(gateway, shop.tenant_id, shop.key))
    path = f"{CASES}/{event_id}"
    queue = await get(gateway, shop, CASES)
    assert [case["event_id"] for case in queue["cases"]] == [event_id]
    decision = await get(gateway, shop, f"/api/v2/ml/decisions/{event_id}")
    case = await get(gateway, shop, path)
    assert (case["state"], case["score"], case["opened_at"]) == ("open", decision["score"], decision["decided_at"])
    assert case["decision"]["reasons"] == decision["reasons"]

    taken = await gateway.client.post(f"{path}/assign", json={"assignee": "me"}, headers=shop.headers)
    assert (taken.status_code, taken.headers["etag"]) == (200, '"2"')
    note = {"text": "Called Ada Lovelace, ada.planted@example.com: it was not her."}
    noted = await gateway.client.post(
        f"{path}/notes", json=note, headers=shop.headers | {"if-match": taken.headers["etag"]}
    )
    assert (noted.status_code, noted.headers["etag"]) == (200, '"3"')
    stale = await gateway.client.post(
        f"{path}/resolve", json={"resolution": "fraud"}, headers=shop.headers | {"if-match": taken.headers["etag"]}
    )
    assert (stale.status_code, stale.headers["content-type"]) == (412, "application/problem+json")
    ended = await gateway.client.post(
        f"{path}/resolve", json={"resolution": "fraud"}, headers=shop.headers | {"if-match": noted.headers["etag"]}
    )
    assert (ended.status_code, ended.json()["state"]) == (200, "resolved")

    case = await get(gateway, shop, path)
    assert [(step["action"], step.get("note")) for step in case["history"]] == [
        ("opened", None),
        ("assigned", None),
        ("noted", note["text"]),
        ("resolved", None),
    ]
    assert (case["label"]["label"], case["label"]["source"]) == ("confirmed", "case")
    said = await get(gateway, shop, f"{FEEDBACK}/{event_id}")
    assert (said["current"]["label"], len(said["labels"])) == ("confirmed", 1)
    assert (await get(gateway, shop, CASES))["cases"] == []
    (on_topic,) = await labels_on_the_topic(mesh, shop.tenant_id, 1)
    assert (on_topic["event_id"], on_topic["label"], on_topic["is_fraud"]) == (event_id, "confirmed", True)
    assert on_topic["occurred_at"] == said["current"]["occurred_at"]
    entries = await audited(gateway, shop, "fraud_cases:work", 3)
    assert [entry["detail"]["change"] for entry in entries] == ["assigned", "noted", "resolved"]
    assert {entry["object"] for entry in entries} == {f"case/{event_id}"}


async def test_labels_come_back_for_payments_with_and_without_decision(gateway: Gateway, shop: Any, mesh: Mesh) -> None:
    event_id = event_id_of(await payment_to_review(gateway, shop.tenant_id, shop.key))
    imported = str(uuid.uuid4())
    now = datetime.now(UTC).isoformat()
    batch = {
        "labels": [
            {"event_id": event_id, "label": "chargeback", "occurred_at": now, "reference": "dp_1"},
            {"event_id": imported, "label": "cleared", "occurred_at": now},
            {"event_id": imported, "label": "honest", "occurred_at": now},
        ]
    }
    answer = await gateway.client.post(FEEDBACK, json=batch, headers=shop.headers)
    assert answer.status_code == 207, answer.text
    statuses = [result["status"] for result in answer.json()["results"]]
    assert statuses == ["recorded", "unknown_event", "invalid"]
    again = await gateway.client.post(FEEDBACK, json={"labels": batch["labels"][:2]}, headers=shop.headers)
    assert (again.status_code, again.json()["summary"]["duplicate"]) == (200, 2)
    on_topic = await labels_on_the_topic(mesh, shop.tenant_id, 2)
    assert {(label["event_id"], label["is_fraud"]) for label in on_topic} == {(event_id, True), (imported, False)}
    # Beside its decision; of a payment without one beside nobody's.
    assert {label["key"].endswith(label["event_id"].encode()) for label in on_topic} == {True, False}
    (entry,) = await audited(gateway, shop, "fraud:label", 1)
    assert entry["detail"] == {"recorded": "1", "unknown_event": "1"}


async def test_another_tenant_finds_nothing(gateway: Gateway, shop: Any, make_shop: Any) -> None:
    event_id = event_id_of(await payment_to_review(gateway, shop.tenant_id, shop.key))
    now = datetime.now(UTC).isoformat()
    label = {"event_id": event_id, "label": "chargeback", "occurred_at": now}
    assert (await gateway.client.post(FEEDBACK, json=label, headers=shop.headers)).status_code == 200
    other = await make_shop()
    assert (await get(gateway, other, CASES))["cases"] == []
    for path in (f"{CASES}/{event_id}", f"{FEEDBACK}/{event_id}"):
        assert (await gateway.client.get(path, headers=other.headers)).status_code == 404
        foreign = await gateway.client.get(path, params={"tenant_id": shop.tenant_id}, headers=other.headers)
        assert foreign.status_code == 403
    for step, body in (
        ("assign", {"assignee": "me"}),
        ("notes", {"text": "x"}),
        ("resolve", {"resolution": "legitimate"}),
    ):
        refused = await gateway.client.post(f"{CASES}/{event_id}/{step}", json=body, headers=other.headers)
        assert refused.status_code == 404
    assert (await get(gateway, shop, f"{CASES}/{event_id}"))["version"] == 1


async def test_nothing_of_a_note_is_in_the_tables_in_clear(
    gateway: Gateway, shop: Any, superuser: asyncpg.Connection
) -> None:
    event_id = event_id_of(await payment_to_review(gateway, shop.tenant_id, shop.key))
    note = {"text": "planted.value@example.com lives at Planted Street 7"}
    answer = await gateway.client.post(f"{CASES}/{event_id}/notes", json=note, headers=shop.headers)
    assert answer.status_code == 200, answer.text
    rows = await superuser.fetch(
        "SELECT row_to_json(a)::text || coalesce(encode(note_sealed, 'escape'), '') AS everything FROM fraud.case_action AS a "
        "WHERE tenant_id = $1",
        shop.tenant_id,
    )
    assert len(rows) == 2
    assert not any("lanted" in row["everything"] for row in rows)


async def test_of_two_analysts_at_once_one_gets_the_case(gateway: Gateway, shop: Any) -> None:
    headers = []
    for name in ("ada", "bob"):
        answer = await gateway.operator(
            "POST",
            f"/api/v2/admin/tenants/{shop.tenant_id}/tokens",
            json={"subject": name, "roles": ["fraud-analyst"], "expires_in": 300},
        )
        assert answer.is_success, answer.text
        headers.append({"authorization": f"Bearer {answer.json()['access_token']}"})
    event_id = event_id_of(await payment_to_review(gateway, shop.tenant_id, shop.key))
    answers = await asyncio.gather(
        *(gateway.client.post(f"{CASES}/{event_id}/assign", json={"assignee": "me"}, headers=one) for one in headers)
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409], [answer.text for answer in answers]
    case = await get(gateway, shop, f"{CASES}/{event_id}")
    assert case["assignee"] in ("ada", "bob")
