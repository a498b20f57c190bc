"""The registry at the public edge, without sockets: who may do what, and what it says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from obstore.store import MemoryStore
from weir_common.audit import PLATFORM, AuditEntry
from weir_common.auth import Principal, Role
from weir_common.http import create_app
from weir_common.ids import TenantId
from weir_common.problems import Unauthenticated
from weir_common.readiness import Readiness
from weir_fraud.active_models import ActiveModels
from weir_fraud.adapters.memory_models import MemoryModels, MemoryTallies
from weir_fraud.adapters.object_files import ObjectFiles
from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.model_stage import Stage
from weir_fraud.domain.outcome import Outcome
from weir_fraud.entrypoints.http_models import PREFIX, models_router
from weir_fraud.load_models import LoadModel, PublishModel, folder_of
from weir_fraud.manage_models import ManageModels
from weir_fraud.model_metrics import ModelMetrics
from weir_fraud.ports import Tally
from weir_fraud.score_shadow import ALL_TENANTS

SHOP = TenantId("merchant_12345")


class Callers:
    """Authenticates by a name in the API key."""

    def authenticate(self, *, api_key: str | None, authorization: str | None) -> Principal:
        known = {
            "shop": Principal(SHOP, "key:shop", "machine", frozenset({Role.INGEST})),
            "owner": Principal(SHOP, "ann", "person", frozenset({Role.OWNER})),
            "admin": Principal(SHOP, "bob", "person", frozenset({Role.ADMIN})),
            "posing": Principal(SHOP, "eve", "person", frozenset({Role.OPERATOR})),
            "other": Principal(TenantId("other"), "key:other", "machine", frozenset({Role.INGEST})),
            "operator": Principal(None, "op", "person", frozenset({Role.OPERATOR})),
            "auditor": Principal(None, "otto", "person", frozenset({Role.AUDITOR})),
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
    registry: MemoryModels
    models: ActiveModels
    files: ObjectFiles
    toys: Any
    audit: Recorded
    tallies: MemoryTallies
    clock: Callable[[], datetime]

    async def publish(self, version: str, says: float = 0.1) -> None:
        publish = PublishModel(self.files, self.registry, self.clock)
        await publish(self.toys.card(version, says), self.toys.files(version, says))

    async def ask(
        self, method: str, path: str = "", status: int = 200, caller: str = "operator", body: Any = None, **query: Any
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


@pytest.fixture
async def edge(toys: Any, catalogue: Catalogue, clock: Callable[[], datetime]) -> AsyncIterator[Edge]:
    registry, files, audit, metrics = (
        MemoryModels(),
        ObjectFiles(MemoryStore(), "memory://"),
        Recorded(),
        ModelMetrics(),
    )
    load, tallies = LoadModel(files, toys.open), MemoryTallies()
    models = ActiveModels(registry, load, toys.open(toys.files("own")), metrics)
    app = create_app(
        service="fraud",
        title="fraud",
        description="fraud",
        readiness=Readiness(),
        authenticator=Callers(),  # type: ignore[arg-type]
        audit=audit,  # type: ignore[arg-type]
    )
    manage = ManageModels(registry, load, metrics, clock)
    app.include_router(models_router(models, registry, files, tallies, manage, catalogue, clock))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="https://fraud") as client:
        made = Edge(client, registry, models, files, toys, audit, tallies, clock)
        for version in ("a", "b", "c"):
            await made.publish(version)
        await models.look()
        yield made


async def test_a_tenant_sees_the_model_that_decides_for_it(edge: Edge) -> None:
    seen = await edge.ask("GET", caller="shop")
    assert (seen["version"], seen["override"]) == ("a", False)
    assert [feature["name"] for feature in seen["features"]] == ["amount", "hour_of_day"]
    assert all(feature["description"] and feature["reason_text"] for feature in seen["features"])
    await edge.ask("POST", "/versions/b/promote", body={"stage": "challenger"})
    await edge.ask("PUT", "/override", body={"version": "b", "note": "tickets"}, tenant_id=SHOP)
    await edge.models.look()
    seen = await edge.ask("GET", caller="shop")
    assert (seen["version"], seen["override"]) == ("b", True)
    assert (await edge.ask("GET", "/override", caller="shop"))["note"] == "tickets"
    assert (await edge.ask("GET", caller="other"))["version"] == "a"
    await edge.ask("GET", "/override", 404, caller="other")
    await edge.ask("GET", "/override", 403, caller="other", tenant_id=SHOP)
    await edge.ask("GET", "", 403, caller="other", tenant_id=SHOP)
    assert (await edge.ask("GET"))["version"] == "a"
    assert (await edge.ask("GET", tenant_id=SHOP))["version"] == "b"
    assert (await edge.ask("DELETE", "/override", tenant_id=SHOP))["version"] == "a"
    await edge.ask("DELETE", "/override", 404, tenant_id=SHOP)
    await edge.models.look()
    assert (await edge.ask("GET", caller="shop"))["version"] == "a"


@pytest.mark.parametrize("caller", ["shop", "owner", "admin", "posing", "auditor"])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/versions", None),
        ("GET", "/versions/a", None),
        ("GET", "/versions/a/shadow", None),
        ("POST", "/versions/b/promote", {"stage": "champion"}),
        ("POST", "/rollback", {}),
        ("PUT", "/override", {"version": "a"}),
        ("DELETE", "/override", None),
    ],
)
async def test_only_operators_manage(edge: Edge, caller: str, method: str, path: str, body: Any) -> None:
    query = {} if caller == "auditor" or path != "/override" else {"tenant_id": SHOP}
    await edge.ask(method, path, 403, caller=caller, body=body, **query)
    assert [one.stage for one in await edge.registry.versions(None, 10) if one.version == "a"] == [Stage.CHAMPION]


async def test_promotion_and_rollback_are_one_call_each_and_audited(edge: Edge) -> None:
    moved = await edge.ask("POST", "/versions/b/promote", body={"stage": "champion", "note": "better"})
    assert (moved["version"], moved["stage"], moved["staged_by"]) == ("b", "champion", "op")
    back = await edge.ask("POST", "/rollback")
    assert (back["version"], back["stage"]) == ("a", "champion")
    assert "no champion before" in (await edge.ask("POST", "/rollback", 409, body={"note": "again"}))["detail"]
    said = [(one.object_ref, one.detail["what"], one.detail.get("to")) for one in edge.registry.audited[3:]]
    assert said == [
        ("fraud-model:a", "promote", "retired"),
        ("fraud-model:b", "promote", "champion"),
        ("fraud-model:b", "rollback", "retired"),
        ("fraud-model:a", "rollback", "champion"),
    ]
    assert {one.tenant_id for one in edge.registry.audited} == {PLATFORM}
    one = await edge.ask("GET", "/versions/b")
    assert [(change["stage_after"], change["note"]) for change in one["changes"]] == [
        ("retired", ""),
        ("champion", "better"),
    ]


async def test_an_override_is_in_the_tenant_s_audit_log(edge: Edge) -> None:
    await edge.ask("PUT", "/override", body={"version": "a"}, tenant_id=SHOP)
    await edge.ask("DELETE", "/override", tenant_id=SHOP)
    assert [(one.tenant_id, one.actor, one.detail["what"]) for one in edge.registry.audited[3:]] == [
        (SHOP, "op", "override"),
        (SHOP, "op", "override_removed"),
    ]


async def test_a_shadow_is_compared(edge: Edge) -> None:
    today = edge.clock().date()
    cell = Tally("b", "a", today, Outcome.APPROVE, Outcome.REVIEW)
    await edge.tallies.add(
        {
            (ALL_TENANTS, cell): 3,
            (ALL_TENANTS, cell._replace(would=Outcome.APPROVE)): 5,
            (ALL_TENANTS, cell._replace(against="c", decided=Outcome.DECLINE)): 2,
            (SHOP, cell): 1,
            (SHOP, cell._replace(day=today - timedelta(days=7))): 100,
        }
    )
    every = await edge.ask("GET", "/versions/b/shadow")
    assert (every["payments"], every["agreement"], every["would_review_rate"], every["review_rate"]) == (
        10,
        0.5,
        0.5,
        0,
    )
    assert (every["decline_rate"], every["would_decline_rate"]) == (0.2, 0)
    assert {name: one["payments"] for name, one in every["against"].items()} == {"a": 8, "c": 2}
    assert every["outcomes"]["decline"] == {"approve": 0, "review": 2, "decline": 0}
    assert (await edge.ask("GET", "/versions/b/shadow", tenant_id=SHOP))["payments"] == 1
    assert (await edge.ask("GET", "/versions/b/shadow", tenant_id=SHOP, days=8))["payments"] == 101
    nothing = await edge.ask("GET", "/versions/c/shadow")
    assert (nothing["payments"], nothing["agreement"], nothing["against"]) == (0, None, {})


async def test_versions_come_in_pages(edge: Edge) -> None:
    first = await edge.ask("GET", "/versions", limit=2)
    assert [one["version"] for one in first["versions"]] == ["c", "b"]
    assert first["versions"][0]["metrics"] == {"test": {"auc": 0.9}}
    second = await edge.ask("GET", "/versions", limit=2, cursor=first["next_cursor"])
    assert ([one["version"] for one in second["versions"]], second["next_cursor"]) == (["a"], None)
    assert second["versions"][0]["files"]["sha256"] == edge.toys.hashes("a")
    assert second["versions"][0]["files"]["uri"].startswith("memory:/")


async def test_a_model_that_nobody_could_use_is_refused_to_who_asks(edge: Edge) -> None:
    hashes = edge.toys.hashes("d", 1.0)
    await edge.files.put(folder_of("d", hashes), edge.toys.files("d", 1.0))
    card = edge.toys.card("d", 1.0)
    await edge.registry.register(card, folder_of("d", hashes), hashes, "op", edge.clock(), edge.toys.audited)
    for stage in ("shadow", "challenger", "champion"):
        refused = await edge.ask("POST", "/versions/d/promote", 409, body={"stage": stage})
        assert (refused["reason"], refused["type"].rpartition("/")[2]) == ("explanation", "model-refused")
    assert (await edge.ask("POST", "/versions/d/promote", body={"stage": "retired"}))["stage"] == "retired"


@pytest.mark.parametrize(
    ("method", "path", "body", "query", "status", "where"),
    [
        ("POST", "/versions/b/promote", b"{", {}, 400, None),
        ("POST", "/versions/b/promote", {}, {}, 422, ""),
        ("POST", "/versions/b/promote", {"stage": "king"}, {}, 422, "/stage"),
        ("POST", "/versions/b/promote", {"stage": "shadow", "note": 1}, {}, 422, "/note"),
        ("POST", "/versions/b/promote", {"stage": "shadow", "note": "ann@example.com"}, {}, 422, "/note"),
        ("POST", "/versions/b/promote", {"stage": "shadow", "more": 1}, {}, 422, ""),
        ("POST", "/versions/nobody/promote", {"stage": "shadow"}, {}, 404, None),
        ("POST", "/versions/a%20b/promote", {"stage": "shadow"}, {}, 422, "version"),
        ("GET", "/versions/nobody", None, {}, 404, None),
        ("GET", "/versions/nobody/shadow", None, {}, 404, None),
        ("GET", "/versions/a/shadow", None, {"days": 91}, 422, "days"),
        ("GET", "/versions", None, {"limit": 0}, 422, "limit"),
        ("GET", "/versions", None, {"cursor": "x"}, 422, "cursor"),
        ("GET", "/versions", None, {"cursor": "WzFlOTksImEiXQ"}, 422, "cursor"),
        ("PUT", "/override", {"version": "a"}, {}, 422, "tenant_id"),
        ("PUT", "/override", {"version": "a b"}, {"tenant_id": SHOP}, 422, "/version"),
        ("PUT", "/override", {"version": "nobody"}, {"tenant_id": SHOP}, 404, None),
        ("PUT", "/override", {"version": "b"}, {"tenant_id": SHOP}, 409, None),
        ("DELETE", "/override", None, {}, 422, "tenant_id"),
        ("GET", "/override", None, {}, 422, "tenant_id"),
    ],
)
async def test_bad_requests(
    edge: Edge, method: str, path: str, body: Any, query: dict[str, Any], status: int, where: str | None
) -> None:
    problem = await edge.ask(method, path, status, body=body, **query)
    if where:
        assert where in {error.get("pointer") or error.get("parameter") for error in problem["errors"]}
