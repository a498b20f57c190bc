"""Shares of declines and their halts at the public edge, without sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from weir_common.audit import AuditEntry
from weir_common.auth import Principal, Role
from weir_common.http import create_app
from weir_common.ids import TenantId
from weir_common.problems import Unauthenticated
from weir_common.readiness import Readiness
from weir_fraud.active_policies import ActivePolicies
from weir_fraud.adapters.memory_declines import MemoryDeclines
from weir_fraud.adapters.memory_policies import MemoryPolicies
from weir_fraud.domain.decline_corridor import Counted, DeclineCorridor, Halt
from weir_fraud.domain.policy import Policy
from weir_fraud.entrypoints.http_declines import PREFIX, declines_router
from weir_fraud.lift_halt import LiftHalt

SHOP = TenantId("merchant_12345")
USUAL = DeclineCorridor(window_minutes=60, least_decisions=10, ceiling=0.3)


class Callers:
    """Authenticates by a name in the API key."""

    def authenticate(self, *, api_key: str | None, authorization: str | None) -> Principal:
        known = {
            "owner": Principal(SHOP, "ann", "person", frozenset({Role.OWNER})),
            "key": Principal(SHOP, "key:shop", "machine", frozenset({Role.OWNER})),
            "exchanged": Principal(SHOP, "key:shop", "person", frozenset({Role.OWNER})),
            "analyst": Principal(SHOP, "bob", "person", frozenset({Role.FRAUD_ANALYST})),
            "ingest": Principal(SHOP, "key:in", "machine", frozenset({Role.INGEST})),
            "other": Principal(TenantId("other"), "eve", "person", frozenset({Role.OWNER})),
            "operator": Principal(None, "key:op", "machine", frozenset({Role.OPERATOR})),
        }
        if api_key not in known:
            raise Unauthenticated("Who is it?")
        return known[api_key]


class Recorded:
    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []

    async def record(self, entry: AuditEntry) -> None:
        self.entries.append(entry)


@dataclass
class Edge:
    client: httpx.AsyncClient
    store: MemoryDeclines
    audit: Recorded
    now: datetime

    async def ask(
        self, method: str, path: str = "", status: int = 200, caller: str = "owner", body: Any = None, **query: Any
    ) -> dict[str, Any]:
        content = {"content": body} if isinstance(body, bytes) else {"json": body}
        answer = await self.client.request(
            method, PREFIX + path, params=query, headers={"X-Api-Key": caller}, **({} if body is None else content)
        )
        assert answer.status_code == status, answer.text
        if status >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
        document: dict[str, Any] = answer.json()
        return document

    async def halt(self, tenant_id: TenantId = SHOP, before: timedelta = timedelta(0)) -> str:
        at = self.now - before
        halt = Halt(tenant_id=tenant_id, halted_at=at, decisions=10, declines=4, corridor=USUAL, policy_version=0)
        assert await self.store.halt(halt, entry())
        return at.isoformat()


def entry() -> AuditEntry:
    return AuditEntry(tenant_id=SHOP, actor="x", actor_kind="service", action="x", object_ref="x", outcome="success")


@pytest.fixture
async def edge(in_force: ActivePolicies, clock: Any) -> AsyncIterator[Edge]:
    store, audit = MemoryDeclines(), Recorded()
    app = create_app(
        service="fraud",
        title="fraud",
        description="fraud",
        readiness=Readiness(),
        authenticator=Callers(),  # type: ignore[arg-type]
        audit=audit,  # type: ignore[arg-type]
    )
    app.include_router(declines_router(store, in_force, USUAL, LiftHalt(store, clock), clock))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="https://fraud") as client:
        yield Edge(client, store, audit, clock())


async def test_the_share_and_its_corridor(edge: Edge, policies: MemoryPolicies) -> None:
    quiet = await edge.ask("GET")
    assert (quiet["share"], quiet["position"], quiet["halt"], quiet["corridor_of"]) == (None, "too_few", None, None)
    await edge.store.add({(SHOP, edge.now): Counted(10, 3)}, {SHOP: 60}, edge.now)
    seen = await edge.ask("GET", caller="analyst")
    assert (seen["decisions"], seen["declines"], seen["share"], seen["position"]) == (10, 3, 0.3, "inside")
    assert seen["corridor"]["ceiling"] == 0.3
    own = DeclineCorridor(window_minutes=30, least_decisions=5, ceiling=0.2)
    draft = await policies.save_draft(SHOP, Policy(decline_corridor=own), "ann", edge.now, lambda _: entry())
    made = await policies.propose_draft(SHOP, draft.revision, "ann", "", edge.now, lambda _: entry())
    await policies.decide(SHOP, made.version, True, "bob", "", edge.now, lambda _: entry())
    seen = await edge.ask("GET")
    assert (seen["corridor_of"], seen["corridor"]["ceiling"], seen["position"]) == (1, 0.2, "above")


async def test_a_person_lifts_the_halt_that_was_seen(edge: Edge) -> None:
    at = await edge.halt()
    seen = (await edge.ask("GET"))["halt"]
    assert (seen["share"], seen["lifted_at"]) == (0.4, None)
    body = {"halted_at": seen["halted_at"], "note": "looked"}
    for caller in ("key", "exchanged", "analyst", "ingest"):
        await edge.ask("POST", "/lift", 403, caller=caller, body=body)
    await edge.ask("POST", "/lift", 403, caller="other", body=body, tenant_id=SHOP)
    await edge.ask("POST", "/lift", 409, caller="other", body=body)
    assert (await edge.ask("POST", "/lift", 409, body=body | {"halted_at": "2020-01-01T00:00:00Z"}))["type"].endswith(
        "not-halted"
    )
    lifted = await edge.ask("POST", "/lift", body=body)
    assert (lifted["lifted_by"], lifted["note"]) == ("ann", "looked")
    assert datetime.fromisoformat(lifted["halted_at"]) == datetime.fromisoformat(at)
    assert [one.detail["what"] for one in edge.store.audited if one.actor == "ann"] == ["lift"]
    await edge.ask("POST", "/lift", 409, body=body)
    assert (await edge.ask("GET"))["halt"] is None


async def test_an_operator_lifts_it_too_and_says_whose(edge: Edge) -> None:
    at = await edge.halt()
    await edge.ask("GET", "", 422, caller="operator")
    await edge.ask("POST", "/lift", 422, caller="operator", body={"halted_at": at, "note": "n"})
    assert (await edge.ask("GET", caller="operator", tenant_id=SHOP))["halt"] is not None
    lifted = await edge.ask("POST", "/lift", caller="operator", body={"halted_at": at, "note": "n"}, tenant_id=SHOP)
    assert lifted["lifted_by"] == "key:op"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b"{", None),
        ({"note": "n"}, None),
        ({"halted_at": "2026-03-04T12:00:00", "note": "n"}, "/halted_at"),
        ({"halted_at": "yesterday", "note": "n"}, "/halted_at"),
        ({"halted_at": "2026-03-04T12:00:00Z", "note": ""}, "/note"),
        ({"halted_at": "2026-03-04T12:00:00Z", "note": "x" * 501}, "/note"),
        ({"halted_at": "2026-03-04T12:00:00Z", "note": "ann@example.com asked"}, "/note"),
        ({"halted_at": "2026-03-04T12:00:00Z", "note": "n", "more": 1}, None),
    ],
)
async def test_what_is_wrong_with_a_lifting_is_told(edge: Edge, body: Any, pointer: str | None) -> None:
    await edge.halt()
    answer = await edge.client.post(
        f"{PREFIX}/lift",
        headers={"X-Api-Key": "owner"},
        **({"content": body} if isinstance(body, bytes) else {"json": body}),
    )
    assert answer.status_code in (400, 422), answer.text
    if pointer is not None:
        assert [one["pointer"] for one in answer.json()["errors"]] == [pointer]
    assert (await edge.ask("GET"))["halt"] is not None


async def test_halts_are_listed_page_by_page(edge: Edge) -> None:
    for days in (3, 2, 1):
        at = await edge.halt(before=timedelta(days=days))
        await edge.store.lift(SHOP, datetime.fromisoformat(at), "op", "n", datetime.fromisoformat(at), entry())
    first = await edge.ask("GET", "/halts", limit=2)
    assert len(first["halts"]) == 2
    rest = await edge.ask("GET", "/halts", limit=2, cursor=first["next_cursor"])
    assert (len(rest["halts"]), rest["next_cursor"]) == (1, None)
    shown = [one["halted_at"] for one in first["halts"] + rest["halts"]]
    assert shown == sorted(shown, reverse=True)
    assert (await edge.ask("GET", "/halts", caller="other"))["halts"] == []
    await edge.ask("GET", "/halts", 403, caller="other", tenant_id=SHOP)
    for cursor in ("x", "WyJ4Il0"):
        await edge.ask("GET", "/halts", 422, cursor=cursor)
