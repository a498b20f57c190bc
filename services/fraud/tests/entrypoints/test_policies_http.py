"""Policies over HTTP without sockets: who may do what, every fault with its place, maker and checker, dry runs."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from weir_common.api_docs import add_schemas
from weir_common.audit import AuditEntry
from weir_common.auth import Principal, Role
from weir_common.http import create_app
from weir_common.ids import EventId, TenantId
from weir_common.privacy.bootstrap import OpenVault, vault_in_memory
from weir_common.privacy.identifiers import user
from weir_common.problems import Unauthenticated
from weir_common.readiness import Readiness
from weir_fraud.adapters.cel_conditions import CelConditions
from weir_fraud.adapters.memory_decisions import MemoryDecisions
from weir_fraud.adapters.memory_policies import MemoryPolicies
from weir_fraud.adapters.onnx_model import OnnxModel
from weir_fraud.domain.decision import Decision, Source
from weir_fraud.domain.outcome import Outcome
from weir_fraud.domain.payment import Payment
from weir_fraud.entrypoints.http_policies import POLICY_SCHEMAS, policies_router
from weir_fraud.entrypoints.policy_documents import POLICY_EXAMPLE
from weir_fraud.manage_policies import ManagePolicies
from weir_fraud.protect_lists import ProtectLists
from weir_fraud.read_policy import MAX_ERRORS
from weir_fraud.score_payments import ScorePayments
from weir_fraud.try_policy import TryPolicy

Make = Callable[..., Payment]
PATH = "/api/v2/ml/policies/fraud"
REVIEW_ALL = {
    "rules": [{"name": "all", "expression": "score >= 0.0", "action": "review", "reason": "Everything is looked at"}]
}


class Callers:
    """Authenticates by a name in the API key."""

    def __init__(self, tenant: TenantId) -> None:
        people = {
            "ann": Role.FRAUD_ANALYST,
            "bob": Role.ADMIN,
            "cem": Role.ADMIN,
            "aud": Role.AUDITOR,
            "ingest": Role.INGEST,
        }
        self._known = {name: Principal(tenant, name, "person", frozenset({role})) for name, role in people.items()}
        self._known["key"] = Principal(tenant, "key:1", "machine", frozenset({Role.OWNER}), "1")
        # What a token that was exchanged for a key looks like.
        self._known["exchanged"] = Principal(tenant, "key:1", "person", frozenset({Role.OWNER}))
        self._known["other"] = Principal(TenantId(f"{tenant}-x"), "bob", "person", frozenset({Role.OWNER}))
        self._known["operator"] = Principal(None, "op", "person", frozenset({Role.OPERATOR}))

    def authenticate(self, *, api_key: str | None, authorization: str | None) -> Principal:
        if api_key not in self._known:
            raise Unauthenticated("Who is it?")
        return self._known[api_key]


class Recorded:
    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []

    async def record(self, entry: AuditEntry) -> None:
        self.entries.append(entry)


@pytest.fixture
def audit() -> Recorded:
    return Recorded()


@pytest.fixture
def decisions() -> MemoryDecisions:
    return MemoryDecisions()


@pytest.fixture
def vault() -> OpenVault:
    return vault_in_memory()


@pytest.fixture
async def api(
    tenant: TenantId,
    policies: MemoryPolicies,
    decisions: MemoryDecisions,
    conditions: CelConditions,
    vault: OpenVault,
    audit: Recorded,
    clock: Callable[[], datetime],
) -> AsyncIterator[httpx.AsyncClient]:
    callers = Callers(tenant)
    app = create_app(
        service="fraud",
        title="fraud",
        description="fraud",
        readiness=Readiness(),
        authenticator=callers,  # type: ignore[arg-type]
        audit=audit,  # type: ignore[arg-type]
        max_body_bytes=4 * 2**20,
    )
    manage = ManagePolicies(policies, conditions, ProtectLists(vault.vault, vault.keys), audit, clock)
    attempt = TryPolicy(decisions, conditions, clock, page=3)
    app.include_router(policies_router(policies, manage, attempt))
    add_schemas(app, POLICY_SCHEMAS)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="https://fraud") as client:
        yield client


async def call(
    api: httpx.AsyncClient, who: str, method: str, path: str = "", status: int = 200, **more: Any
) -> dict[str, Any]:
    answer = await api.request(method, PATH + path, headers={"x-api-key": who}, **more)
    assert answer.status_code == status, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def propose(api: httpx.AsyncClient, document: dict[str, Any] = REVIEW_ALL, who: str = "ann") -> int:
    revision = (await call(api, who, "PUT", "/draft", json=document))["revision"]
    made = await call(api, who, "POST", "/draft/submit", json={"revision": revision, "note": "why"})
    version: int = made["version"]
    return version


async def put_in_force(api: httpx.AsyncClient, document: dict[str, Any] = REVIEW_ALL) -> int:
    version = await propose(api, document)
    await call(api, "bob", "POST", f"/versions/{version}/approve")
    return version


async def test_from_draft_to_force_and_back(api: httpx.AsyncClient, policies: MemoryPolicies) -> None:
    assert (await call(api, "ann", "GET"))["version"] == 0
    await call(api, "ann", "GET", "/draft", 404)
    document = {**POLICY_EXAMPLE, "deny": [{**POLICY_EXAMPLE["deny"][0], "expires_at": "2026-04-01T00:00:00Z"}]}
    saved = await call(api, "ann", "PUT", "/draft", json=document)
    assert saved["policy"]["rules"][0] == {**document["rules"][0], "enabled": True, "override": False}
    assert "token_hash_123" not in str(saved)
    assert await call(api, "ann", "GET", "/draft") == saved
    again = await call(api, "cem", "PUT", "/draft", json=saved["policy"])
    assert (again["revision"], again["editors"], again["policy"]) == (2, ["ann", "cem"], saved["policy"])
    await call(api, "ann", "POST", "/draft/submit", 409, json={"revision": 1})
    made = await call(api, "ann", "POST", "/draft/submit", json={"revision": 2})
    assert (made["version"], made["state"], made["policy"]) == (1, "proposed", saved["policy"])
    assert (await call(api, "ann", "GET"))["version"] == 0
    approved = await call(api, "bob", "POST", "/versions/1/approve", json={"note": "seen"})
    assert (approved["state"], approved["decided_by"], approved["decision_note"]) == ("active", "bob", "seen")
    assert await call(api, "aud", "GET") == approved == await call(api, "aud", "GET", "/versions/1")
    assert await put_in_force(api) == 2
    back = await call(api, "cem", "POST", "/rollback", json={"version": 1, "note": "too many"})
    assert (back["version"], back["restores"], back["state"]) == (3, 1, "proposed")
    assert back["policy"] == saved["policy"]
    assert (await call(api, "ann", "GET"))["version"] == 2
    await call(api, "cem", "POST", "/versions/3/approve", 403)
    await call(api, "bob", "POST", "/versions/3/approve")
    page = await call(api, "aud", "GET", "/versions?limit=2")
    assert [one["version"] for one in page["versions"]] == [3, 2]
    last = await call(api, "aud", "GET", f"/versions?limit=2&cursor={page['next_cursor']}")
    assert ([one["version"] for one in last["versions"]], last["next_cursor"]) == ([1], None)
    what = [(entry.actor, entry.detail["what"]) for entry in policies.audited]
    assert what == [
        *[("ann", "draft"), ("cem", "draft"), ("ann", "submit"), ("bob", "approve")],
        *[("ann", "draft"), ("ann", "submit"), ("bob", "approve"), ("cem", "rollback"), ("bob", "approve")],
    ]


@pytest.mark.parametrize(
    ("who", "reason"), [("bob", "maker"), ("cem", "maker"), ("key", "machine"), ("exchanged", "machine")]
)
async def test_nobody_approves_what_they_made_and_no_machine_does(
    api: httpx.AsyncClient, audit: Recorded, policies: MemoryPolicies, who: str, reason: str
) -> None:
    """Bob wrote first, Cem submitted: both made it."""
    await call(api, "bob", "PUT", "/draft", json=REVIEW_ALL)
    await propose(api, who="cem")
    refused = await call(api, who, "POST", "/versions/1/approve", 403)
    assert refused["type"].endswith("approver-is-machine" if reason == "machine" else "approver-is-maker")
    assert (audit.entries[-1].outcome, audit.entries[-1].detail["reason"]) == ("denied", reason)
    assert (await call(api, "ann", "GET"))["version"] == 0
    rejected = await call(api, "cem", "POST", "/versions/1/reject", json={"note": "on second thoughts"})
    assert rejected["state"] == "rejected"
    await call(api, "bob", "POST", "/versions/1/approve", 403)
    assert policies.audited[-1].detail["what"] == "reject"


async def test_who_may(api: httpx.AsyncClient, audit: Recorded) -> None:
    await propose(api)
    await call(api, "ann", "POST", "/versions/1/approve", 403)
    assert audit.entries[-1].detail["reason"] == "role"
    await call(api, "ann", "POST", "/versions/1/reject", 403)
    await call(api, "aud", "PUT", "/draft", 403, json=REVIEW_ALL)
    await call(api, "aud", "POST", "/dry-run", 403, json={})
    await call(api, "ingest", "GET", "", 403)
    await call(api, "operator", "GET", "", 403)
    await call(api, "nobody", "GET", "", 401)


async def test_a_tenant_cannot_see_or_touch_another_s(api: httpx.AsyncClient) -> None:
    await put_in_force(api)
    await call(api, "ann", "PUT", "/draft", json=REVIEW_ALL)
    assert (await call(api, "other", "GET"))["version"] == 0
    await call(api, "other", "GET", "/draft", 404)
    assert (await call(api, "other", "GET", "/versions"))["versions"] == []
    for method, path, body in (
        ("GET", "/versions/1", None),
        ("POST", "/versions/1/approve", {}),
        ("POST", "/versions/1/reject", {}),
        ("POST", "/rollback", {"version": 1}),
        ("POST", "/dry-run", {"version": 1}),
        ("POST", "/dry-run", {}),
    ):
        await call(api, "other", method, path, 404, json=body)
    await call(api, "other", "POST", "/draft/submit", 409, json={"revision": 1})


async def test_one_proposal_at_a_time_and_only_the_past_is_brought_back(api: httpx.AsyncClient) -> None:
    await propose(api)
    revision = (await call(api, "ann", "PUT", "/draft", json=REVIEW_ALL))["revision"]
    await call(api, "ann", "POST", "/draft/submit", 409, json={"revision": revision})
    await call(api, "ann", "POST", "/rollback", 409, json={"version": 1})
    await call(api, "bob", "POST", "/versions/1/approve")
    await call(api, "cem", "POST", "/versions/1/approve", 409)
    await call(api, "ann", "POST", "/rollback", 409, json={"version": 1})


def rule(**more: Any) -> dict[str, Any]:
    return {"name": "one", "expression": "true", "action": "review", "reason": "r", **more}


def entry(**more: Any) -> dict[str, Any]:
    return {"kind": "user", "value": "ann", "reason": "case 1", **more}


@pytest.mark.parametrize(
    ("document", "pointers"),
    [
        ([], [""]),
        ({"thresholds": {"review": 0.5}}, ["/thresholds/decline"]),
        ({"thresholds": {"review": 0.5, "decline": 0.4}}, ["/thresholds/review"]),
        ({"thresholds": {"review": -1, "decline": 0.4}}, ["/thresholds/review"]),
        ({"threshold": None}, [""]),
        ({"rules": [rule(expression="scoer > 1.0"), rule(name="two", expression="score >")]}, ["/rules/0/expression", "/rules/1/expression"]),
        ({"rules": [rule(), rule()]}, ["/rules/1/name"]),
        ({"rules": [rule(name="No Spaces")]}, ["/rules/0/name"]),
        ({"rules": [rule(name="deny:user")]}, ["/rules/0/name"]),
        ({"rules": [rule(override=True)]}, ["/rules/0/override"]),
        ({"rules": [rule(action="burn"), rule(action=1)]}, ["/rules/0/action", "/rules/1/action"]),
        ({"rules": [rule(reason="call +49 30 901820 first")]}, ["/rules/0/reason"]),
        ({"rules": [rule(name=f"r{number}") for number in range(51)]}, ["/rules"]),
        ({"rules": [rule(name=f"r{number}", expression="true" + " " * 900) for number in range(12)]}, ["/rules"]),
        ({"allow": [entry(value=None)]}, ["/allow/0"]),
        ({"allow": [entry(protected=["sub_x"])]}, ["/allow/0"]),
        ({"deny": [entry(value=None, protected=["sub_x"])]}, ["/deny/0/protected"]),
        ({"deny": [entry(), entry(kind="visitor"), entry()]}, ["/deny/2"]),
        ({"deny": [entry(kind="country", value="Germany")]}, ["/deny/0/value"]),
        ({"deny": [entry(kind="shoe"), entry(kind="user", value="a\x00b")]}, ["/deny/0/kind", "/deny/1/value"]),
        ({"deny": [entry(reason="of ann@example.com")]}, ["/deny/0/reason"]),
        ({"deny": [entry(expires_at="2026-05-01T00:00:00")]}, ["/deny/0/expires_at"]),
        ({"deny": [entry(expires_at="2026-03-04T12:00:00Z")]}, ["/deny/0/expires_at"]),
        ({"deny": [entry(kind="device", expires_at="2027-03-04T12:00:00Z")]}, ["/deny/0/expires_at"]),
        (
            {"thresholds": {"review": 2, "decline": 3}, "allow": [{}], "deny": [{}], "rules": [{}]},
            ["/thresholds/review", "/allow/0/kind", "/deny/0/kind", "/rules/0/name"],
        ),
    ],
)  # fmt: skip
async def test_every_fault_is_told_with_its_place(api: httpx.AsyncClient, document: Any, pointers: list[str]) -> None:
    refused = await call(api, "ann", "PUT", "/draft", 422, json=document)
    assert [error.get("pointer", "") for error in refused["errors"]] == pointers
    await call(api, "ann", "GET", "/draft", 404)
    tried = await call(api, "ann", "POST", "/dry-run", 422, json={"document": document})
    assert [error["pointer"] for error in tried["errors"]] == [f"/document{pointer}" for pointer in pointers]


async def test_an_expression_s_fault_names_its_column(api: httpx.AsyncClient) -> None:
    body = {"rules": [rule(expression="score > 0.1 && features.moon_phase > 0.5")]}
    (error,) = (await call(api, "ann", "PUT", "/draft", 422, json=body))["errors"]
    assert error["got"].startswith("line 1, column 24: undefined field 'moon_phase'")


async def test_ten_thousand_entries_are_taken_and_not_one_more(api: httpx.AsyncClient) -> None:
    entries = [entry(value=f"user-{number}") for number in range(10_000)]
    saved = await call(api, "ann", "PUT", "/draft", json={"deny": entries[:6_000], "allow": entries[6_000:]})
    assert len(saved["policy"]["deny"]) + len(saved["policy"]["allow"]) == 10_000
    refused = await call(api, "ann", "PUT", "/draft", 422, json={"deny": entries, "allow": [entry(value="more")]})
    assert [error["pointer"] for error in refused["errors"]] == ["/deny"]
    wrong = [entry(kind="country", value="x" * (number + 3)) for number in range(150)]
    refused = await call(api, "ann", "PUT", "/draft", 422, json={"deny": wrong})
    assert len(refused["errors"]) == MAX_ERRORS
    assert "50 more" in refused["detail"]


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/draft/submit", {}, "/revision"),
        ("/draft/submit", {"revision": 0}, "/revision"),
        ("/draft/submit", {"revision": 1, "note": "ask ann@example.com"}, "/note"),
        ("/rollback", {}, "/version"),
        ("/versions/1/approve", {"note": 1}, "/note"),
        ("/versions/1/reject", {"note": "a\x00"}, "/note"),
        ("/dry-run", {"days": 32}, "/days"),
        ("/dry-run", {"version": 1, "document": {}}, "/version"),
    ],
)
async def test_other_bodies_are_told_where_too(
    api: httpx.AsyncClient, path: str, body: dict[str, Any], pointer: str
) -> None:
    await propose(api)
    refused = await call(api, "bob", "POST", path, 422, json=body)
    assert [error["pointer"] for error in refused["errors"]] == [pointer]


# ── dry runs
# ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def stored(
    tenant: TenantId, decisions: MemoryDecisions, score_payments: ScorePayments, model: OnnxModel, make_payment: Make
) -> list[Decision]:
    """Ten, an hour apart, of growing scores; the oldest is of before there were policies."""
    await decisions.register(model.card)
    (made,) = await score_payments([make_payment(amount="50.00", country="DE")], Source.HTTP)
    found = []
    for number in range(10):
        at = made.decided_at - timedelta(hours=10 - number)
        more: dict[str, Any] = {"declined": None, "country": None} if number == 0 else {}
        outcome = Outcome.APPROVE if number < 9 else Outcome.DECLINE
        decision = replace(
            made,
            event_id=EventId(str(uuid.uuid4())),
            decided_at=at,
            event_timestamp=at,
            score=number / 10,
            outcome=outcome,
            model_outcome=outcome,
            **more,
        )
        found.append(decision)
        await decisions.record(decision)
    await decisions.record(replace(made, tenant_id=TenantId(f"{tenant}-x"), score=1.0))
    return found


async def test_a_dry_run_says_what_would_have_changed(api: httpx.AsyncClient, stored: list[Decision]) -> None:
    document = {
        "thresholds": {"review": 0.95, "decline": 0.99},
        "rules": [
            rule(name="high", expression="score > 0.65", action="decline"),
            rule(name="abroad", expression="country != 'DE'", action="review"),
            rule(name="never", expression="score > 2.0"),
            rule(name="off", enabled=False),
        ],
        "deny": [entry(kind="device", value="laptop"), entry(value="nobody-knows-them")],
    }
    answer = await call(api, "ann", "POST", "/dry-run", json={"document": document, "days": 1})
    assert (answer["evaluated"], answer["complete"]) == (10, True)
    assert answer["before"] == {
        "approve": 9, "review": 0, "decline": 1, "reviews_per_day": 0, "decline_rate": 0.1,
    }  # fmt: skip
    assert answer["after"] == {
        "approve": 6, "review": 1, "decline": 3, "reviews_per_day": 1, "decline_rate": 0.3,
    }  # fmt: skip
    assert answer["changes"] == [
        {"before": "approve", "after": "decline", "decisions": 2},
        {"before": "approve", "after": "review", "decisions": 1},
    ]
    assert answer["rules"] == [
        {"policy_rule": "high", "matched": 3, "changed": 2, "errors": 0},
        # Of the oldest decision the country is not known.
        {"policy_rule": "abroad", "matched": 0, "changed": 0, "errors": 1},
        {"policy_rule": "never", "matched": 0, "changed": 0, "errors": 0},
    ]
    changed = [stored[8], stored[7], stored[0]]
    assert [one["event_id"] for one in answer["examples"]] == [decision.event_id for decision in changed]
    assert answer["lacking"] == {"entry_kinds": ["device"], "decisions_without_countries": 1}


async def test_a_dry_run_is_bounded_and_says_so(api: httpx.AsyncClient, stored: list[Decision]) -> None:
    answer = await call(api, "ann", "POST", "/dry-run", json={"document": {}, "limit": 4})
    assert (answer["evaluated"], answer["complete"]) == (4, False)
    assert datetime.fromisoformat(answer["oldest"]) == stored[6].decided_at
    answer = await call(api, "ann", "POST", "/dry-run", json={"document": {}, "days": 1})
    assert answer["after"]["decline"] == 3, "by the model's thresholds"


async def test_a_list_is_tried_by_whom_it_names(
    api: httpx.AsyncClient, decisions: MemoryDecisions, stored: list[Decision], vault: OpenVault, tenant: TenantId
) -> None:
    subject = (await vault.vault.resolve(tenant, [user("ann")]))[user("ann")].subject_id
    await decisions.record(replace(stored[1], event_id=EventId(str(uuid.uuid4())), user_id=subject))
    await put_in_force(api, {"deny": [entry()]})
    for body in ({"version": 1}, {"document": {"deny": [entry()]}}):
        answer = await call(api, "ann", "POST", "/dry-run", json=body)
        assert answer["rules"] == [{"policy_rule": "deny:user", "matched": 1, "changed": 1, "errors": 0}]
    await call(api, "ann", "PUT", "/draft", json={"deny": [entry(kind="country", value="DE")]})
    answer = await call(api, "ann", "POST", "/dry-run", json={})
    assert answer["rules"] == [{"policy_rule": "deny:country", "matched": 10, "changed": 9, "errors": 0}]
