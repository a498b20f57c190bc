"""No operation and no RPC of fraud tells a tenant anything of another: each is asked for what is another's, and for what is nobody's.

Both answers must be the same: what is another's cannot be told from what never was. The table holds every operation of the OpenAPI document
and every RPC that the server reflects; one without an entry fails.
"""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import asyncpg
import grpc
import msgspec
import pytest
from google.protobuf import descriptor_pool
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from weir.fraud.v1 import fraud_pb2, fraud_pb2_grpc
from weir.ops.v1 import applied_pb2, applied_pb2_grpc
from weir.privacy.v1 import subject_data_pb2, subject_data_pb2_grpc
from weir_local.demo import attacks
from weir_local.demo.api import Gateway
from weir_local.demo.to_review import payment_to_review
from weir_local.mesh import Mesh

pytestmark = pytest.mark.e2e

ML = "/api/v2/ml"
HALTED_AT = "2026-01-01T00:00:00+00:00"


class Asked(NamedTuple):
    """What somebody asks for: a tenant, an event, a version of a policy."""

    tenant: str
    event: str
    policy: str


class Call(NamedTuple):
    """An operation as the thief calls it; `{event}` and `{policy}` stand for what is asked for, `{payment}` for one of the tenant that is.

    `status`: without a tenant in the query. With one that is not the thief's own it is 403, where the operation takes one.
    """

    status: int
    body: Any = None


PAYMENT = {"event": "{payment}"}
CALLS: Mapping[tuple[str, str], Call] = {
    ("POST", f"{ML}/inference/fraud"): Call(403, PAYMENT),
    ("GET", f"{ML}/decisions/{{event_id}}"): Call(404),
    # Models: the one that decides for the thief; versions, evidence and drift are the operators'.
    ("GET", f"{ML}/models/fraud"): Call(200),
    ("GET", f"{ML}/models/fraud/versions"): Call(403),
    ("GET", f"{ML}/models/fraud/versions/{{version}}"): Call(403),
    ("GET", f"{ML}/models/fraud/versions/{{version}}/shadow"): Call(403),
    ("POST", f"{ML}/models/fraud/versions/{{version}}/promote"): Call(403, {"stage": "shadow"}),
    ("POST", f"{ML}/models/fraud/versions/{{version}}/backtests"): Call(403, {}),
    ("GET", f"{ML}/models/fraud/versions/{{version}}/backtests"): Call(403),
    ("GET", f"{ML}/models/fraud/versions/{{version}}/gate"): Call(403),
    ("GET", f"{ML}/models/fraud/versions/{{version}}/drift"): Call(403),
    ("POST", f"{ML}/models/fraud/rollback"): Call(403, {}),
    ("GET", f"{ML}/models/fraud/override"): Call(404),
    ("PUT", f"{ML}/models/fraud/override"): Call(403, {"version": "fraud-000000000000"}),
    ("DELETE", f"{ML}/models/fraud/override"): Call(403),
    # Labels and cases.
    ("POST", f"{ML}/feedback/fraud"): Call(
        200, {"labels": [{"event_id": "{event}", "label": "cleared", "occurred_at": HALTED_AT}]}
    ),
    ("GET", f"{ML}/feedback/fraud/{{event_id}}"): Call(200),
    ("GET", f"{ML}/cases"): Call(200),
    ("GET", f"{ML}/cases/{{event_id}}"): Call(404),
    ("POST", f"{ML}/cases/{{event_id}}/assign"): Call(404, {"assignee": "me"}),
    ("POST", f"{ML}/cases/{{event_id}}/notes"): Call(404, {"text": "Mine now."}),
    ("POST", f"{ML}/cases/{{event_id}}/resolve"): Call(404, {"resolution": "legitimate"}),
    # Lists and rules: always the caller's own.
    ("GET", f"{ML}/policies/fraud"): Call(200),
    ("GET", f"{ML}/policies/fraud/draft"): Call(404),
    ("PUT", f"{ML}/policies/fraud/draft"): Call(200, {"rules": []}),
    ("POST", f"{ML}/policies/fraud/draft/submit"): Call(409, {"revision": 999}),
    ("GET", f"{ML}/policies/fraud/versions"): Call(200),
    ("GET", f"{ML}/policies/fraud/versions/{{version}}"): Call(404),
    ("POST", f"{ML}/policies/fraud/versions/{{version}}/approve"): Call(404, {}),
    ("POST", f"{ML}/policies/fraud/versions/{{version}}/reject"): Call(404, {}),
    ("POST", f"{ML}/policies/fraud/rollback"): Call(404, {"version": "{policy}"}),
    ("POST", f"{ML}/policies/fraud/dry-run"): Call(404, {"version": "{policy}"}),
    # The corridor of declines.
    ("GET", f"{ML}/declines/fraud"): Call(200),
    ("GET", f"{ML}/declines/fraud/halts"): Call(200),
    ("POST", f"{ML}/declines/fraud/lift"): Call(409, {"halted_at": HALTED_AT, "note": "Mine now."}),
}


async def person(gateway: Gateway, tenant: str, name: str) -> dict[str, str]:
    """A token of somebody who may do everything in the tenant."""
    body = {"subject": name, "roles": ["owner", "admin", "fraud-analyst", "ingest"]}
    answer = await gateway.operator("POST", f"/api/v2/admin/tenants/{tenant}/tokens", json=body)
    answer.raise_for_status()
    return {"authorization": f"Bearer {answer.json()['access_token']}"}


def payment_of(tenant: str, event_id: str) -> dict[str, Any]:
    return attacks.payment(tenant, event_id, datetime(2026, 11, 1, tzinfo=UTC))


def filled(template: Any, asked: Asked) -> Any:
    """With what is asked for in its places."""
    if isinstance(template, dict):
        return {name: filled(value, asked) for name, value in template.items()}
    if isinstance(template, list):
        return [filled(value, asked) for value in template]
    if template == "{payment}":
        return payment_of(asked.tenant, asked.event)
    if template == "{policy}":
        return int(asked.policy)
    return template.format(**asked._asdict()) if isinstance(template, str) else template


class Victim(NamedTuple):
    """A tenant that has something of everything, and the words by which it would be known again."""

    tenant: str
    event: str
    headers: dict[str, str]
    marks: tuple[str, ...]

    async def state(self, gateway: Gateway) -> dict[str, Any]:
        """All that the tenant itself sees of it."""
        found = {}
        for path in (
            f"{ML}/decisions/{self.event}",
            f"{ML}/models/fraud/override",
            f"{ML}/feedback/fraud/{self.event}",
            f"{ML}/cases",
            f"{ML}/cases/{self.event}",
            f"{ML}/policies/fraud",
            f"{ML}/policies/fraud/draft",
            f"{ML}/policies/fraud/versions",
            f"{ML}/declines/fraud/halts",
        ):
            answer = await gateway.client.get(path, headers=self.headers)
            assert answer.status_code == 200, answer.text
            found[path] = answer.json()
        return found


@pytest.fixture
async def victim(gateway: Gateway, make_shop: Any, superuser: asyncpg.Connection) -> AsyncIterator[Victim]:
    shop = await make_shop()
    ann, bob = await person(gateway, shop.tenant_id, "ann"), await person(gateway, shop.tenant_id, "bob")
    mark = f"mark {secrets.token_hex(6)}"
    # The case first: the policy would change the outcome.
    event: str = (await payment_to_review(gateway, shop.tenant_id, shop.key))["event_metadata"]["event_id"]

    async def call(method: str, path: str, body: Any, headers: Mapping[str, str] = ann) -> Any:
        answer = await gateway.client.request(method, ML + path, json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    policy = {"deny": [{"kind": "user", "value": "mallory@example.com", "reason": mark}]}
    saved = await call("PUT", "/policies/fraud/draft", policy)
    made = await call("POST", "/policies/fraud/draft/submit", {"revision": saved["revision"], "note": mark})
    assert made["version"] == 1
    await call("POST", "/policies/fraud/versions/1/approve", {"note": mark}, bob)
    await call("PUT", "/policies/fraud/draft", policy)
    await call("POST", f"/cases/{event}/notes", {"text": mark})
    label = {"event_id": event, "label": "chargeback", "occurred_at": datetime.now(UTC).isoformat(), "reference": mark}
    await call("POST", "/feedback/fraud", {"labels": [label]})
    champion = (await gateway.operator("GET", f"{ML}/models/fraud")).json()["version"]
    given = await gateway.operator(
        "PUT",
        f"{ML}/models/fraud/override",
        params={"tenant_id": shop.tenant_id},
        json={"version": champion, "note": mark},
    )
    assert given.status_code == 200, given.text
    await superuser.execute(
        "INSERT INTO fraud.decline_halt (tenant_id, halted_at, decisions, declines, window_minutes, least_decisions, ceiling, floor, "
        "policy_version, lifted_at, lifted_by, note) VALUES ($1, $2, 100, 90, 60, 50, 0.5, 0, 1, now(), 'ann', $3)",
        shop.tenant_id,
        datetime.fromisoformat(HALTED_AT),
        mark,
    )
    found = Victim(shop.tenant_id, event, ann, (shop.tenant_id, event, mark))
    shown = str(await found.state(gateway))
    assert shown.count(mark) >= 5, "the tenant itself sees its list, its draft, its label, its note and its halt"
    yield found
    # A version that a tenant has is not retired when another one becomes the champion, which others look at.
    taken = await gateway.operator("DELETE", f"{ML}/models/fraud/override", params={"tenant_id": shop.tenant_id})
    assert taken.status_code in (200, 204), taken.text


@pytest.fixture
async def thief(gateway: Gateway, make_shop: Any) -> tuple[str, dict[str, str]]:
    tenant = (await make_shop()).tenant_id
    return tenant, await person(gateway, tenant, "eve")


async def operations(gateway: Gateway, mesh: Mesh) -> dict[tuple[str, str], list[str]]:
    """Every operation that fraud documents, with the names of its parameters in the query."""
    answer = await gateway.client.get(f"http://127.0.0.1:{mesh.port('fraud-http')}/openapi/fraud.json")
    answer.raise_for_status()
    return {
        (method.upper(), path): [one["name"] for one in operation.get("parameters", []) if one["in"] == "query"]
        for path, item in answer.json()["paths"].items()
        for method, operation in item.items()
        if method in ("get", "put", "post", "delete", "patch")
    }


def known_again(text: str, asked: Asked) -> str:
    """The answer without what the caller said itself, and without what differs between any two answers."""
    text = text.replace(asked.tenant, "<tenant>").replace(asked.event, "<event>")
    text = re.sub(rf"(version |versions/){asked.policy}\b", r"\1<policy>", text)
    text = re.sub(r'"(trace_id|[a-z]+_at|occurred_at)":"[^"]*"', r'"\1":"…"', text)
    return re.sub(r'"revision":\d+', '"revision":"…"', text)


async def test_every_operation_is_in_the_table(gateway: Gateway, mesh: Mesh) -> None:
    documented = await operations(gateway, mesh)
    assert set(documented) == set(CALLS)


async def test_no_operation_tells_a_tenant_of_another(
    gateway: Gateway, mesh: Mesh, victim: Victim, thief: tuple[str, dict[str, str]]
) -> None:
    mine, eve = thief
    theirs = Asked(victim.tenant, victim.event, "1")
    nobodys = Asked(f"e2e-{secrets.token_hex(4)}", str(uuid.uuid4()), "977")
    before = await victim.state(gateway)

    async def ask(operation: tuple[str, str], asked: Asked, query: dict[str, str]) -> tuple[int, str]:
        method, path = operation
        version = asked.policy if "/policies/" in path else "fraud-000000000000"
        path = path.replace("{event_id}", asked.event).replace("{version}", version)
        body = filled(CALLS[operation].body, asked)
        answer = await gateway.client.request(method, path, json=body, params=query, headers=eve)
        sent = str((path, body, query))
        told = [mark for mark in victim.marks if mark in answer.text and mark not in sent]
        assert not told, f"{operation} with {query} tells {told}: {answer.text}"
        return answer.status_code, known_again(answer.text, asked)

    faults = []
    for operation, parameters in (await operations(gateway, mesh)).items():
        for named in (False, True) if "tenant_id" in parameters else (False,):
            expected = 403 if named else CALLS[operation].status
            found = [
                await ask(operation, asked, {"tenant_id": asked.tenant} if named else {}) for asked in (theirs, nobodys)
            ]
            if found[0] != found[1] or found[0][0] != expected:
                faults.append(f"{operation}, tenant named {named}, expected {expected}:\n  {found[0]}\n  {found[1]}")
    assert not faults, "\n".join(faults)
    assert await victim.state(gateway) == before
    assert mine not in str(before)


async def test_the_same_payment_knows_nothing_of_the_others_history(
    gateway: Gateway, victim: Victim, thief: tuple[str, dict[str, str]]
) -> None:
    """A payment of the same event id, payer, card and device at another tenant is that tenant's first."""
    mine, eve = thief
    seen = []
    for event_id in (victim.event, str(uuid.uuid4())):
        body = {"event": payment_of(mine, event_id)}
        answer = await gateway.client.post(f"{ML}/inference/fraud", json=body, headers=eve)
        assert answer.status_code == 200, answer.text
        decision = answer.json()
        assert decision["tenant_id"] == mine
        values = {one["feature"]: one["value"] for one in decision["contributions"]}
        seen.append({name: value for name, value in values.items() if name.endswith("_count_1h")})
    assert seen[0], "the model that decides looks at histories"
    assert set(seen[0].values()) <= {0, 1}, "the first one of this tenant, whatever the other one has"
    assert (await gateway.client.get(f"{ML}/decisions/{victim.event}", headers=victim.headers)).json()[
        "tenant_id"
    ] == victim.tenant


# ── gRPC
# ────────────────────────────────────────────────────────────────────────────────────────────────────

OURS = ("weir.",)
RPCS = {
    "weir.fraud.v1.FraudService/ScoreTransaction",
    "weir.fraud.v1.FraudService/ScoreTransactions",
    # For compliance only; no credential of a tenant is taken by the first, and the second has no tenant's data.
    "weir.privacy.v1.SubjectDataService/ExportSubject",
    "weir.ops.v1.AppliedService/GetApplied",
}


async def test_no_rpc_tells_a_tenant_of_another(
    mesh: Mesh, gateway: Gateway, victim: Victim, thief: tuple[str, dict[str, str]], superuser: asyncpg.Connection
) -> None:
    mine, eve = thief
    metadata = (("authorization", eve["authorization"]),)
    before = await victim.state(gateway)
    subject = await superuser.fetchval(
        "SELECT subject FROM fraud.decision WHERE tenant_id = $1 AND event_id = $2",
        victim.tenant,
        uuid.UUID(victim.event),
    )
    async with grpc.aio.insecure_channel(f"127.0.0.1:{mesh.port('fraud-grpc')}") as channel:
        listing = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
            iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=5
        )
        names = {one.name async for answer in listing for one in answer.list_services_response.service}
        pool = descriptor_pool.Default()
        served = {
            f"{name}/{method.name}"
            for name in names
            if name.startswith(OURS)
            for method in pool.FindServiceByName(name).methods
        }
        assert served == RPCS

        fraud = fraud_pb2_grpc.FraudServiceStub(channel)
        for tenant in (victim.tenant, f"e2e-{secrets.token_hex(4)}"):
            content = msgspec.json.encode(payment_of(tenant, victim.event))
            for call in (
                fraud.ScoreTransaction(
                    fraud_pb2.ScoreTransactionRequest(tenant_id=tenant, event=content), metadata=metadata, timeout=5
                ),
                fraud.ScoreTransactions(
                    fraud_pb2.ScoreTransactionsRequest(tenant_id=tenant, events=[content]), metadata=metadata, timeout=5
                ),
            ):
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await call
                assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
                assert victim.tenant not in (refused.value.details() or "")
        # An event of the other's under the own name is refused, and in a batch it stays alone.
        content = msgspec.json.encode(payment_of(victim.tenant, victim.event))
        together = await fraud.ScoreTransactions(
            fraud_pb2.ScoreTransactionsRequest(tenant_id=mine, events=[content]), metadata=metadata, timeout=5
        )
        assert [one.pointer for one in together.results[0].refusal.violations] == ["/tenant_id"]

        export = subject_data_pb2_grpc.SubjectDataServiceStub(channel).ExportSubject(
            subject_data_pb2.ExportSubjectRequest(
                tenant_id=mine,
                request_id="r",
                subject=subject_data_pb2.SubjectIdentifiers(subject_ids=[subject], user_ids=[subject]),
            ),
            timeout=10,
        )
        answers = [answer async for answer in export]
        assert answers[-1].summary.records == 0
        assert len(answers) == 1

        applied = await applied_pb2_grpc.AppliedServiceStub(channel).GetApplied(
            applied_pb2.GetAppliedRequest(topic="weir.ingest.events.v2", partition=0), timeout=5
        )
        assert victim.tenant not in str(applied)
    assert await victim.state(gateway) == before
