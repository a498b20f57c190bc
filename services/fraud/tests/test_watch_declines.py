"""A tenant whose share of declines leaves its corridor: what it costs, what the next payment gets, and that it can be replayed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from weir_common.audit import AuditEntry
from weir_common.ids import TenantId
from weir_fraud.active_halts import STALE_SECONDS, ActiveHalts
from weir_fraud.active_policies import ActivePolicies
from weir_fraud.adapters.memory_declines import MemoryDeclines
from weir_fraud.adapters.memory_features import MemoryFeatures
from weir_fraud.adapters.memory_models import OneModel
from weir_fraud.adapters.memory_policies import MemoryPolicies
from weir_fraud.decision_metrics import DecisionMetrics, policy_effect
from weir_fraud.decline_metrics import DeclineMetrics
from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.decision import Decision, Source
from weir_fraud.domain.decline_corridor import Counted, DeclineCorridor, Halt
from weir_fraud.domain.outcome import Outcome
from weir_fraud.domain.payment import Payment
from weir_fraud.domain.policy import EntityKind, Entry, Policy
from weir_fraud.domain.policy_judgement import WITHOUT_POLICY
from weir_fraud.domain.replay import replay, vector_of
from weir_fraud.errors import DecisionStoreUnavailable
from weir_fraud.score_payments import ScorePayments
from weir_fraud.watch_declines import WatchDeclines

Make = Callable[..., Payment]
CORRIDOR = DeclineCorridor(window_minutes=60, least_decisions=10, ceiling=0.3)


class Metrics(DeclineMetrics):
    def __init__(self) -> None:
        super().__init__()
        self.trips: list[TenantId] = []
        self.held_back = 0
        self.below: dict[TenantId, bool] = {}
        self.told: dict[TenantId, bool] = {}
        self.gone = 0

    def tripped(self, tenant_id: TenantId) -> None:
        self.trips.append(tenant_id)

    def held(self, tenant_id: TenantId) -> None:
        self.held_back += 1

    def share(self, tenant_id: TenantId, share: float, below_floor: bool) -> None:
        self.below[tenant_id] = below_floor

    def halted(self, tenant_id: TenantId, halted: bool) -> None:
        self.told[tenant_id] = halted

    def lost(self, count: int) -> None:
        self.gone += count


class Declines(MemoryDeclines):
    """`away`: how many questions find nobody."""

    def __init__(self) -> None:
        super().__init__()
        self.away = 0
        self.written = 0
        self.asked: list[set[TenantId]] = []

    async def add(
        self, counted: Mapping[tuple[TenantId, datetime], Counted], windows: Mapping[TenantId, int], at: datetime
    ) -> Mapping[TenantId, Counted]:
        if self.away:
            self.away -= 1
            raise DecisionStoreUnavailable("away")
        self.written += 1
        return await super().add(counted, windows, at)

    async def halted(self, tenants: Collection[TenantId]) -> Collection[TenantId]:
        self.asked.append(set(tenants))
        await asyncio.sleep(0)
        return await super().halted(tenants)


@pytest.fixture
def store() -> Declines:
    return Declines()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def now(clock: Callable[[], datetime]) -> list[datetime]:
    return [clock()]


@pytest.fixture
def watch(store: Declines, in_force: ActivePolicies, metrics: Metrics, now: list[datetime]) -> WatchDeclines:
    return WatchDeclines(store, in_force, CORRIDOR, metrics, lambda: now[0])


@pytest.fixture
def halts(store: Declines, metrics: Metrics) -> ActiveHalts:
    return ActiveHalts(store, metrics)


@pytest.fixture
def sure(toys: Any) -> Any:
    """A model that would decline everybody."""
    return toys.open(toys.files("sure", says=0.9))


@pytest.fixture
def score(
    features: MemoryFeatures,
    sure: Any,
    catalogue: Catalogue,
    in_force: ActivePolicies,
    clock: Callable[[], datetime],
    halts: ActiveHalts,
) -> ScorePayments:
    return ScorePayments(features, OneModel(sure), catalogue, in_force, clock, halts=halts)


async def decided(score: ScorePayments, payment: Payment) -> Decision:
    (decision,) = await score([payment], Source.HTTP)
    return decision


def of(decision: Decision, outcome: Outcome, count: int, **members: Any) -> list[Decision]:
    return [replace(decision, outcome=outcome, **members)] * count


async def test_the_next_would_be_decline_is_a_flagged_review_until_it_is_lifted(
    score: ScorePayments,
    watch: WatchDeclines,
    halts: ActiveHalts,
    store: Declines,
    metrics: Metrics,
    make_payment: Make,
    tenant: TenantId,
    now: list[datetime],
) -> None:
    await halts.look()
    before = await decided(score, make_payment())
    assert (before.outcome, before.declines_halted) == (Outcome.DECLINE, False)
    watch.count([*of(before, Outcome.DECLINE, 3), *of(before, Outcome.APPROVE, 7)])
    await watch.flush()
    assert await store.in_force(tenant) is None
    watch.count(of(before, Outcome.DECLINE, 1))
    await watch.flush()
    halt = await store.in_force(tenant)
    assert halt is not None
    assert (halt.decisions, halt.declines, halt.corridor, halt.policy_version) == (11, 4, CORRIDOR, 0)
    assert [(entry.tenant_id, entry.actor, entry.detail["what"]) for entry in store.audited] == [
        (tenant, "fraud", "halt")
    ]
    await halts.look()
    after = await decided(score, make_payment())
    assert (after.outcome, after.declines_halted, after.model_outcome) == (Outcome.REVIEW, True, Outcome.DECLINE)
    assert metrics.told == {tenant: True}
    # What it would decline is still counted, so that a person sees whether it is over.
    watch.count([after])
    await watch.flush()
    assert await store.counted(tenant, 60, now[0]) == Counted(12, 5)
    assert metrics.trips == [tenant]
    assert metrics.held_back == 1

    now[0] += timedelta(seconds=30)
    await store.lift(tenant, halt.halted_at, "op", "looked", now[0], store.audited[0])
    await halts.look()
    assert metrics.told == {tenant: False}
    assert (await decided(score, make_payment())).outcome is Outcome.DECLINE
    watch.count(of(before, Outcome.DECLINE, 9))
    await watch.flush()
    assert await store.in_force(tenant) is None, "counted anew"
    now[0] += timedelta(seconds=1)
    watch.count(of(before, Outcome.DECLINE, 1))
    await watch.flush()
    assert await store.in_force(tenant) is not None


async def test_a_halted_decision_gives_the_same_bytes_again(
    score: ScorePayments,
    sure: Any,
    catalogue: Catalogue,
    halts: ActiveHalts,
    store: Declines,
    make_payment: Make,
    tenant: TenantId,
    clock: Callable[[], datetime],
) -> None:
    await halt_of(store, tenant, clock())
    await halts.look()
    decision = await decided(score, make_payment())
    assert decision.declines_halted
    (scored,) = sure.score([vector_of(decision)])
    again = replay(decision, scored, sure.card, catalogue, WITHOUT_POLICY)
    assert again.identical
    assert b'"declines_halted":true' in again.stored
    forged = replay(replace(decision, declines_halted=False), scored, sure.card, catalogue, WITHOUT_POLICY)
    assert {found.pointer for found in forged.differences} == {"/outcome"}


async def test_the_deny_list_declines_all_the_same_and_is_not_counted(
    score: ScorePayments,
    watch: WatchDeclines,
    halts: ActiveHalts,
    store: Declines,
    policies: MemoryPolicies,
    make_payment: Make,
    tenant: TenantId,
    clock: Callable[[], datetime],
    now: list[datetime],
) -> None:
    await approve(
        policies, tenant, Policy(deny=(Entry(kind=EntityKind.USER, protected=("ann",), reason="r"),)), clock()
    )
    await halt_of(store, tenant, clock())
    await halts.look()
    denied = await decided(score, make_payment())
    assert (denied.outcome, denied.policy_rule, denied.declines_halted) == (Outcome.DECLINE, "deny:user", False)
    other = await decided(score, make_payment(user_id="bob"))
    assert (other.outcome, other.declines_halted) == (Outcome.REVIEW, True)
    assert policy_effect(other) == "kept"
    watch.count([denied] * 50)
    await watch.flush()
    assert await store.counted(tenant, 60, now[0]) == Counted(0, 0)


async def test_a_tenant_s_own_corridor_is_that_of_its_policy(
    watch: WatchDeclines,
    store: Declines,
    policies: MemoryPolicies,
    score: ScorePayments,
    make_payment: Make,
    tenant: TenantId,
    metrics: Metrics,
    clock: Callable[[], datetime],
) -> None:
    own = DeclineCorridor(window_minutes=5, least_decisions=4, ceiling=0.9, floor=0.5)
    await approve(policies, tenant, Policy(decline_corridor=own), clock())
    decision = await decided(score, make_payment())
    watch.count([*of(decision, Outcome.DECLINE, 1), *of(decision, Outcome.APPROVE, 3)])
    await watch.flush()
    assert metrics.below == {tenant: True}
    assert await store.in_force(tenant) is None
    watch.count(of(decision, Outcome.DECLINE, 27))
    await watch.flush()
    halt = await store.in_force(tenant)
    assert halt is not None
    assert (halt.corridor, halt.policy_version) == (own, 1)


async def test_what_cannot_be_written_is_written_later_once(
    watch: WatchDeclines,
    store: Declines,
    score: ScorePayments,
    make_payment: Make,
    tenant: TenantId,
    now: list[datetime],
) -> None:
    decision = await decided(score, make_payment())
    store.away = 2
    watch.count(of(decision, Outcome.APPROVE, 5))
    await watch.flush()
    watch.count(of(decision, Outcome.DECLINE, 2))
    await watch.flush()
    await watch.flush()
    await watch.flush()
    assert await store.counted(tenant, 60, now[0]) == Counted(7, 2)
    assert store.written == 1


async def test_only_the_window_counts(
    watch: WatchDeclines,
    store: Declines,
    score: ScorePayments,
    make_payment: Make,
    tenant: TenantId,
    now: list[datetime],
) -> None:
    decision = await decided(score, make_payment())
    old = replace(decision, decided_at=now[0] - timedelta(minutes=60))
    watch.count(of(old, Outcome.DECLINE, 100))
    watch.count(of(replace(decision, decided_at=now[0] - timedelta(minutes=59)), Outcome.APPROVE, 10))
    await watch.flush()
    assert await store.counted(tenant, 60, now[0]) == Counted(10, 0)
    assert await store.in_force(tenant) is None


async def test_stored_decisions_are_counted_by_who_counts_them_for_the_metrics(
    score: ScorePayments, make_payment: Make
) -> None:
    told: list[Decision] = []
    metrics = DecisionMetrics(told.extend)
    decision = await decided(score, make_payment())
    metrics.made(one for one in [decision])
    assert told == [decision]


async def test_nobody_is_asked_for_while_nobody_is_halted(
    halts: ActiveHalts, store: Declines, tenant: TenantId, clock: Callable[[], datetime]
) -> None:
    await halts.look()
    for _ in range(3):
        assert await halts([tenant]) == frozenset()
    assert store.asked == []
    other = TenantId("other")
    await halt_of(store, other, clock())
    assert await halts([tenant, other]) == frozenset()
    await halts.look()
    for _ in range(3):
        assert await halts([tenant, other]) == {other}
    assert store.asked == [{tenant, other}]


async def test_an_instance_that_never_looked_asks(
    halts: ActiveHalts, store: Declines, tenant: TenantId, clock: Any
) -> None:
    await halt_of(store, tenant, clock())
    assert await halts([tenant]) == {tenant}


async def test_who_does_not_look_is_unhealthy(store: Declines, metrics: Metrics) -> None:
    at = [0.0]
    halts = ActiveHalts(store, metrics, monotonic=lambda: at[0])
    await halts.look()
    assert await halts.health() is None
    at[0] = STALE_SECONDS
    assert await halts.health() is not None


async def halt_of(store: MemoryDeclines, tenant_id: TenantId, at: datetime) -> Halt:
    halt = Halt(tenant_id=tenant_id, halted_at=at, decisions=10, declines=4, corridor=CORRIDOR, policy_version=0)
    assert await store.halt(halt, entry(tenant_id))
    return halt


def entry(tenant_id: TenantId) -> AuditEntry:
    return AuditEntry(
        tenant_id=tenant_id, actor="x", actor_kind="service", action="x", object_ref="x", outcome="success"
    )


async def approve(policies: MemoryPolicies, tenant_id: TenantId, policy: Policy, at: datetime) -> None:
    draft = await policies.save_draft(tenant_id, policy, "ann", at, lambda _: entry(tenant_id))
    made = await policies.propose_draft(tenant_id, draft.revision, "ann", "", at, lambda _: entry(tenant_id))
    await policies.decide(tenant_id, made.version, True, "bob", "", at, lambda _: entry(tenant_id))
