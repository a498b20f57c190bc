"""The registry at the public edge, without sockets: who may do what, and what it says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest
from obstore.store import MemoryStore
from weir_common.audit import PLATFORM, AuditEntry
from weir_common.auth import Principal, Role
from weir_common.http import create_app
from weir_common.ids import TenantId
from weir_common.problems import Unauthenticated
from weir_common.readiness import Readiness
from weir_fraud.active_models import ActiveModels
from weir_fraud.adapters.memory_drift import MemoryDrift
from weir_fraud.adapters.memory_models import MemoryBacktests, MemoryModels, MemoryTallies
from weir_fraud.adapters.object_files import ObjectFiles
from weir_fraud.check_gate import CheckGate
from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.drift import Calibration, DriftReport
from weir_fraud.domain.model_stage import Stage
from weir_fraud.domain.outcome import Outcome
from weir_fraud.domain.promotion_gate import GateBounds
from weir_fraud.entrypoints.http_drift import drift_router
from weir_fraud.entrypoints.http_gate import gate_router
from weir_fraud.entrypoints.http_models import PREFIX, models_router
from weir_fraud.load_models import LoadModel, PublishModel, folder_of
from weir_fraud.manage_models import ManageModels
from weir_fraud.model_metrics import ModelMetrics
from weir_fraud.ports import Tally
from weir_fraud.score_shadow import ALL_TENANTS

SHOP = TenantId("merchant_12345")
BOUNDS = GateBounds(
    backtest_least_payments=1_000,
    backtest_least_frauds=10,
    backtest_most_days=30,
    most_loss=0.01,
    shadow_least_decisions=100,
    shadow_least_hours=24,
    reviews_per_day=50,
    decline_rate=0.05,
)
"""Of the figures in `backtest`, the champion's own pass exactly."""


def backtest(version: str, champion: str = "a", **members: Any) -> dict[str, Any]:
    figures = {
        "auc": {"value": 0.9, "low": 0.89, "high": 0.91},
        "average_precision": {"value": 0.7, "low": 0.68, "high": 0.72},
        "card_precision_100": {"value": 0.3, "low": 0.29, "high": 0.31},
        "review_rate": 0.01,
        "decline_rate": 0.05,
    }
    document = {
        "data_from": "2026-02-01T00:00:00Z",
        "data_until": "2026-03-01T00:00:00Z",
        "payments": 1_000,
        "frauds": 10,
        "data_sha256": "0" * 64,
        "candidate": {"version": version, **figures},
        "champion": {"version": champion, **figures},
    }
    return document | members


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
    backtests: MemoryBacktests
    now: list[datetime]
    drift: MemoryDrift
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
    now = [clock()]
    backtests = MemoryBacktests(registry)
    check = CheckGate(registry, tallies, backtests, BOUNDS, 5, lambda: now[0])
    manage = ManageModels(registry, load, metrics, lambda: now[0], check)
    app.include_router(gate_router(registry, backtests, check, lambda: now[0]))
    drift = MemoryDrift()
    app.include_router(drift_router(registry, drift))
    app.include_router(models_router(models, registry, files, tallies, manage, catalogue, clock))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="https://fraud") as client:
        made = Edge(client, registry, models, files, toys, audit, tallies, backtests, now, drift, clock)
        for version in ("a", "b", "c"):
            await made.publish(version)
        await models.look()
        yield made


async def test_a_tenant_sees_the_model_that_decides_for_it(edge: Edge) -> None:
    seen = await edge.ask("GET", caller="shop")
    assert (seen["version"], seen["override"]) == ("a", False)
    assert [feature["name"] for feature in seen["features"]] == ["amount", "hour_of_day"]
    assert all(feature["description"] and feature["reason_text"] for feature in seen["features"])
    await edge.ask("POST", "/versions/b/backtests", body=backtest("b"))
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
    over = {"stage": "champion", "note": "better", "override_gate": "The archive is empty yet"}
    moved = await edge.ask("POST", "/versions/b/promote", body=over)
    assert (moved["version"], moved["stage"], moved["staged_by"]) == ("b", "champion", "op")
    back = await edge.ask("POST", "/rollback")
    assert (back["version"], back["stage"]) == ("a", "champion")
    assert "no champion before" in (await edge.ask("POST", "/rollback", 409, body={"note": "again"}))["detail"]
    said = [(one.object_ref, one.detail["what"], one.detail.get("to")) for one in edge.registry.audited[3:]]
    assert said == [
        ("fraud-model:a", "promote_over_gate", "retired"),
        ("fraud-model:b", "promote_over_gate", "champion"),
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
        ("POST", "/versions/b/promote", {"stage": "champion", "override_gate": ""}, {}, 422, "/override_gate"),
        (
            "POST",
            "/versions/b/promote",
            {"stage": "champion", "override_gate": "ann@example.com"},
            {},
            422,
            "/override_gate",
        ),
        ("POST", "/versions/nobody/promote", {"stage": "shadow"}, {}, 404, None),
        ("POST", "/versions/nobody/backtests", backtest("nobody"), {}, 404, None),
        ("POST", "/versions/b/backtests", backtest("c"), {}, 422, "/candidate/version"),
        ("POST", "/versions/b/backtests", backtest("b", "b"), {}, 422, "/champion/version"),
        ("POST", "/versions/b/backtests", backtest("b", "nobody"), {}, 422, "/champion/version"),
        ("POST", "/versions/b/backtests", backtest("b", frauds=1_001), {}, 422, "/frauds"),
        ("POST", "/versions/b/backtests", backtest("b", data_from="2026-03-01T00:00:00Z"), {}, 422, "/data_from"),
        ("POST", "/versions/b/backtests", backtest("b", data_until="2027-03-01T00:00:00Z"), {}, 422, "/data_until"),
        ("POST", "/versions/b/backtests", backtest("b", data_sha256="x"), {}, 422, "/data_sha256"),
        ("POST", "/versions/b/backtests", backtest("b", payments=-1), {}, 422, "/payments"),
        (
            "POST",
            "/versions/b/backtests",
            backtest("b", candidate=backtest("b")["candidate"] | {"auc": {"value": 0.5, "low": 0.6, "high": 0.7}}),
            {},
            422,
            "/candidate/auc",
        ),
        ("GET", "/versions/nobody/gate", None, {}, 404, None),
        ("GET", "/versions/nobody/backtests", None, {}, 404, None),
        ("GET", "/versions/b/gate", None, {"stage": "king"}, 422, "stage"),
        ("GET", "/versions/b/backtests", None, {"cursor": "x"}, 422, "cursor"),
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


# ── the gate
# ────────────────────────────────────────────────────────────────────────────────────────────────────


async def shadowed(edge: Edge, version: str, hours: float, counts: dict[tuple[Outcome, Outcome], int]) -> None:
    """The version was the shadow beside `a` for so long."""
    await edge.ask("POST", f"/versions/{version}/promote", body={"stage": "shadow"})
    edge.now[0] += timedelta(hours=hours)
    for (decided, would), payments in counts.items():
        tally = Tally(version, "a", edge.now[0].date(), decided, would)
        await edge.tallies.add({(ALL_TENANTS, tally): payments, (SHOP, tally): payments})


async def test_the_gate_lists_what_is_missing_and_promotion_holds_to_it(edge: Edge) -> None:
    gate = await edge.ask("GET", "/versions/b/gate")
    assert (gate["passed"], gate["champion"], gate["backtest"]) == (False, "a", None)
    missing = {check["name"] for check in gate["checks"]}
    assert missing == {
        *("backtest_payments", "backtest_frauds", "backtest_age_days", "backtest_decline_rate"),
        *("auc_low", "average_precision_low", "card_precision_100_low"),
        *("shadow_decisions", "shadow_hours", "shadow_decline_rate", "reviews_per_day"),
    }
    assert not any(check["passed"] for check in gate["checks"])
    refused = await edge.ask("POST", "/versions/b/promote", 409, body={"stage": "champion"})
    assert refused["type"].endswith("gate-not-passed")
    assert {check["name"] for check in refused["failed"]} == missing
    assert (await edge.ask("GET", "/versions/a"))["stage"] == "champion"


async def test_a_version_with_the_evidence_passes_and_keeps_it(edge: Edge) -> None:
    stored = await edge.ask("POST", "/versions/b/backtests", body=backtest("b"))
    await shadowed(
        edge,
        "b",
        24,
        {
            (Outcome.APPROVE, Outcome.APPROVE): 45,
            (Outcome.APPROVE, Outcome.REVIEW): 50,
            (Outcome.DECLINE, Outcome.DECLINE): 5,
        },
    )
    gate = await edge.ask("GET", "/versions/b/gate")
    assert gate["passed"], gate
    values = {check["name"]: (check["value"], check["bound"]) for check in gate["checks"]}
    assert values["reviews_per_day"] == (50, 50)
    assert values["shadow_decline_rate"] == (0.05, 0.05)
    assert values["shadow_hours"] == (24, 24)
    assert values["auc_low"] == (0.89, 0.89 - 0.01)
    assert values["backtest_age_days"] == (4.5, 30)
    moved = await edge.ask("POST", "/versions/b/promote", body={"stage": "champion", "override_gate": "not needed"})
    assert moved["stage"] == "champion"
    change = (await edge.ask("GET", "/versions/b"))["changes"][0]
    assert change["gate"]["backtest"] == stored["number"]
    assert change["gate"]["override"] is None, "there was nothing to override"
    assert {check["passed"] for check in change["gate"]["checks"]} == {True}
    # The way back needs none.
    assert (await edge.ask("POST", "/rollback"))["version"] == "a"


@pytest.mark.parametrize(
    ("hours", "counts", "failed"),
    [
        (23.9, {(Outcome.APPROVE, Outcome.APPROVE): 100}, {"shadow_hours"}),
        (24, {(Outcome.APPROVE, Outcome.APPROVE): 99}, {"shadow_decisions"}),
        (24, {(Outcome.APPROVE, Outcome.APPROVE): 94, (Outcome.APPROVE, Outcome.DECLINE): 6}, {"shadow_decline_rate"}),
        (24, {(Outcome.APPROVE, Outcome.APPROVE): 49, (Outcome.APPROVE, Outcome.REVIEW): 51}, {"reviews_per_day"}),
        (48, {(Outcome.APPROVE, Outcome.APPROVE): 49, (Outcome.APPROVE, Outcome.REVIEW): 51}, set()),
    ],
)
async def test_each_bound_of_the_shadow_holds(
    edge: Edge, hours: float, counts: dict[tuple[Outcome, Outcome], int], failed: set[str]
) -> None:
    await edge.ask("POST", "/versions/b/backtests", body=backtest("b"))
    await shadowed(edge, "b", hours, counts)
    gate = await edge.ask("GET", "/versions/b/gate")
    assert {check["name"] for check in gate["checks"] if not check["passed"]} == failed
    assert gate["passed"] == (not failed)


async def test_the_newest_backtest_against_the_present_champion_counts(edge: Edge) -> None:
    worse = backtest("b")
    worse["candidate"]["average_precision"] = {"value": 0.67, "low": 0.66, "high": 0.68}
    await edge.ask("POST", "/versions/b/backtests", body=backtest("b"))
    await edge.ask("POST", "/versions/b/backtests", body=worse)
    await edge.ask("POST", "/versions/b/backtests", body=backtest("b", "c"))
    gate = await edge.ask("GET", "/versions/b/gate", stage="challenger")
    assert {check["name"] for check in gate["checks"] if not check["passed"]} == {"average_precision_low"}
    await edge.ask("POST", "/versions/b/promote", 409, body={"stage": "challenger"})
    await edge.ask("POST", "/versions/b/backtests", body=backtest("b"))
    await edge.ask("POST", "/versions/b/promote", body={"stage": "challenger"})
    first = await edge.ask("GET", "/versions/b/backtests", limit=3)
    rest = await edge.ask("GET", "/versions/b/backtests", limit=3, cursor=first["next_cursor"])
    assert [one["number"] for one in first["backtests"] + rest["backtests"]] == [4, 3, 2, 1]
    assert rest["next_cursor"] is None
    assert [entry.detail["what"] for entry in edge.backtests.audited] == ["backtest"] * 4


async def test_one_tenant_s_load_is_told_apart(edge: Edge) -> None:
    await shadowed(edge, "b", 24, {(Outcome.APPROVE, Outcome.REVIEW): 6, (Outcome.APPROVE, Outcome.APPROVE): 6})
    gate = await edge.ask("GET", "/versions/b/gate", tenant_id=SHOP)
    assert {check["name"]: check["value"] for check in gate["checks"] if not check["passed"]} == {"reviews_per_day": 6}
    quiet = await edge.ask("GET", "/versions/b/gate", tenant_id="other")
    assert {check["name"]: check["value"] for check in quiet["checks"]}["shadow_decisions"] == 0


async def test_the_gate_is_overridden_by_permission_with_a_reason_that_stays(edge: Edge) -> None:
    for caller in ("owner", "admin", "posing", "shop", "auditor"):
        body = {"stage": "champion", "override_gate": "because"}
        await edge.ask("POST", "/versions/b/promote", 403, caller=caller, body=body)
        await edge.ask("POST", "/versions/b/backtests", 403, caller=caller, body=backtest("b"))
        await edge.ask("GET", "/versions/b/backtests", 403, caller=caller)
        await edge.ask("GET", "/versions/b/gate", 403, caller=caller)
    body = {"stage": "champion", "note": "n", "override_gate": "The champion declines everybody"}
    await edge.ask("POST", "/versions/b/promote", body=body)
    change = (await edge.ask("GET", "/versions/b"))["changes"][0]
    assert (change["gate"]["override"], change["gate"]["overridden_by"]) == ("The champion declines everybody", "op")
    assert any(not check["passed"] for check in change["gate"]["checks"])
    await edge.ask("POST", "/versions/c/promote", body={"stage": "champion", "override_gate": "again"})
    changes = (await edge.ask("GET", "/versions/b"))["changes"]
    assert [one["gate"] is not None for one in changes] == [False, True]


async def test_stages_that_decide_nothing_need_no_gate(edge: Edge) -> None:
    for stage in ("shadow", "candidate", "retired"):
        gate = await edge.ask("GET", "/versions/b/gate", stage=stage)
        assert (gate["passed"], gate["checks"]) == (True, [])
        assert (await edge.ask("POST", "/versions/b/promote", body={"stage": stage}))["stage"] == stage
    same = await edge.ask("POST", "/versions/a/promote", 409, body={"stage": "champion"})
    assert "already" in same["detail"]


# ── drift
# ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_drift_is_told_with_its_level_or_why_not(edge: Edge) -> None:
    await edge.ask("GET", "/versions/a/drift", 404)
    await edge.ask("GET", "/versions/nobody/drift", 404)
    at = edge.now[0]
    calibration = Calibration(since=at, until=at, decisions=9, labelled=3, frauds=2, expected=4.0, squares=0.9)
    moved = DriftReport(
        version="a",
        computed_at=at,
        since=at,
        decisions=600,
        least_decisions=500,
        has_baselines=True,
        score_psi=0.25,
        features={"hour_of_day": 0.09, "amount": 0.26},
        calibration=calibration,
        calibration_ratio=0.5,
        calibration_brier=0.1,
        least_frauds=2,
    )
    few = msgspec.structs.replace(
        moved,
        decisions=3,
        score_psi=None,
        features=None,
        calibration_ratio=None,
        calibration_brier=None,
        least_frauds=20,
    )
    await edge.drift.save(ALL_TENANTS, moved)
    await edge.drift.save(SHOP, few)
    seen = await edge.ask("GET", "/versions/a/drift")
    assert seen["score"] == {"psi": 0.25, "level": "moderate"}
    assert seen["features"] == [
        {"feature": "amount", "psi": 0.26, "level": "large"},
        {"feature": "hour_of_day", "psi": 0.09, "level": "none"},
    ]
    assert (seen["calibration"]["ratio"], seen["calibration"]["frauds"], seen["lacking"]) == (0.5, 2, [])
    little = await edge.ask("GET", "/versions/a/drift", tenant_id=SHOP)
    assert (little["score"], little["features"], little["calibration"]["ratio"]) == (None, None, None)
    assert little["lacking"] == ["3 decisions, 500 are needed", "2 labelled frauds, 20 are needed"]
    for caller in ("owner", "admin", "posing", "shop", "auditor"):
        await edge.ask("GET", "/versions/a/drift", 403, caller=caller)
