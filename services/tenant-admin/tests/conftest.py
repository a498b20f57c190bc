"""Fakes of tenant-admin's ports, and the clock that tests move."""

from __future__ import annotations

import asyncio
import copy
import itertools
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from weir_common.auth import Principal, Role
from weir_common.ids import TenantId, uuid7
from weir_common.kafka.records import OutgoingRecord
from weir_local.addresses import environment_of
from weir_local.mesh import Mesh, default_cache_directory, default_state_directory
from weir_tenant_admin.domain.manifests import Target
from weir_tenant_admin.ports import (
    Follows,
    PlanState,
    Preview,
    ScalePlan,
    ScalePlans,
    Snapshot,
    StoredKey,
    Tenant,
    TenantStore,
)
from weir_tenant_admin.settings import Settings


@dataclass
class FakeClock:
    """A clock that stands until it is moved."""

    now: datetime = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **parts: float) -> None:
        self.now += timedelta(**parts)


@dataclass
class _State:
    tenants: dict[TenantId, Tenant] = field(default_factory=dict)
    keys: list[StoredKey] = field(default_factory=list)
    sent: list[OutgoingRecord] = field(default_factory=list)


class _MemoryWriter:
    def __init__(self, state: _State, tenant_id: TenantId | None) -> None:
        self._state = state
        self._tenant_id = tenant_id

    async def add_tenant(self, tenant: Tenant) -> bool:
        if tenant.tenant_id in self._state.tenants:
            return False
        self._state.tenants[tenant.tenant_id] = tenant
        return True

    async def lock_client(self, client: str) -> None:
        return None

    async def keys_of(self, client: str) -> Sequence[StoredKey]:
        return [key for key in self._state.keys if key.tenant_id == self._tenant_id and key.client == client]

    async def add_key(self, key: StoredKey) -> None:
        self._state.keys.append(key)

    async def revoke_key(self, key_id: str, at: datetime, by: str) -> StoredKey | None:
        for index, key in enumerate(self._state.keys):
            if key.tenant_id == self._tenant_id and key.key_id == key_id:
                self._state.keys[index] = replace(key, revoked_at=key.revoked_at or at)
                return self._state.keys[index]
        return None

    async def send(self, *records: OutgoingRecord) -> None:
        self._state.sent.extend(records)


class MemoryTenantStore:
    """A registry in memory whose transactions roll back on an error."""

    def __init__(self) -> None:
        self._state = _State()

    @property
    def sent(self) -> list[OutgoingRecord]:
        return self._state.sent

    @asynccontextmanager
    async def writing(self, tenant_id: TenantId | None) -> AsyncIterator[_MemoryWriter]:
        draft = copy.deepcopy(self._state)
        yield _MemoryWriter(draft, tenant_id)
        self._state = draft

    async def tenant(self, tenant_id: TenantId) -> Tenant | None:
        return self._state.tenants.get(tenant_id)

    async def tenants(self, *, after: str | None, limit: int, only: TenantId | None) -> Sequence[Tenant]:
        found = [
            tenant
            for _, tenant in sorted(self._state.tenants.items())
            if (after is None or tenant.tenant_id > after) and (only is None or tenant.tenant_id == only)
        ]
        return found[:limit]

    async def keys(self, tenant_id: TenantId) -> Sequence[StoredKey]:
        return sorted((key for key in self._state.keys if key.tenant_id == tenant_id), key=lambda key: key.key_id)

    async def key_by_hash(self, key_hash: str) -> StoredKey | None:
        return next((key for key in self._state.keys if key.key_hash == key_hash), None)

    async def note_use(self, key: StoredKey, at: datetime) -> None:
        for index, known in enumerate(self._state.keys):
            if known.key_id == key.key_id:
                self._state.keys[index] = replace(known, last_used_at=at.replace(second=0, microsecond=0))


class PlainSigner:
    """Keeps the claims instead of signing them."""

    def __init__(self) -> None:
        self.signed: list[dict[str, Any]] = []

    def sign(self, claims: dict[str, Any]) -> str:
        self.signed.append(claims)
        return f"token-{len(self.signed)}"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def memory_store() -> MemoryTenantStore:
    return MemoryTenantStore()


@pytest.fixture
def signer() -> PlainSigner:
    return PlainSigner()


@pytest.fixture
def operator() -> Principal:
    return Principal(None, "key:operator", "machine", frozenset({Role.OPERATOR}))


@pytest.fixture
def owner_of() -> Any:
    def make(tenant_id: str, *roles: Role) -> Principal:
        return Principal(TenantId(tenant_id), "user:ann", "person", frozenset(roles or {Role.OWNER}))

    return make


class MemoryScalePlans:
    """Plans in memory."""

    def __init__(self) -> None:
        self.sent: list[OutgoingRecord] = []
        self._plans: dict[tuple[TenantId, str], ScalePlan] = {}

    async def add(self, plan: ScalePlan, *records: OutgoingRecord) -> None:
        self._plans[(plan.tenant_id, plan.plan_id)] = plan
        self.sent.extend(records)

    async def plan(self, tenant_id: TenantId, plan_id: str) -> ScalePlan | None:
        return self._plans.get((tenant_id, plan_id))

    async def remember(self, tenant_id: TenantId, plan_id: str, before: Snapshot) -> None:
        plan = self._plans.get((tenant_id, plan_id))
        if plan is not None and plan.before is None:
            self._plans[(tenant_id, plan_id)] = replace(plan, before=before)

    async def turn(
        self, tenant_id: TenantId, plan_id: str, state: PlanState, reason: str, at: datetime, *records: OutgoingRecord
    ) -> ScalePlan | None:
        plan = self._plans.get((tenant_id, plan_id))
        if plan is None or plan.state is state:
            return plan
        turned = replace(plan, state=state, reason=reason, updated_at=at)
        self._plans[(tenant_id, plan_id)] = turned
        self.sent.extend(records)
        return turned


@dataclass
class FakeCluster:
    """A control plane that holds bounds only. ``failures`` are raised by the next calls of a method, in order."""

    now: Snapshot = field(default_factory=lambda: Snapshot(None, None, None))
    acts: bool = True
    denies: str = ""
    hold_apply: asyncio.Event | None = None
    failures: dict[str, list[Exception]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.failures.get(name):
            raise self.failures[name].pop(0)

    async def snapshot(self, target: Target) -> Snapshot:
        self._called("snapshot")
        return self.now

    async def preview(self, target: Target) -> Sequence[Preview]:
        self._called("preview")
        return [Preview("HorizontalPodAutoscaler x", "denied" if self.denies else "allowed", self.denies)]

    async def apply(self, target: Target) -> None:
        # What was there is overwritten first: a step that fails half-way leaves something to undo.
        self.now = Snapshot(self.now.replicas or 1, target.minimum, target.maximum)
        self._called("apply")
        if self.hold_apply is not None:
            await self.hold_apply.wait()
            self.now = Snapshot(self.now.replicas or 1, target.minimum, target.maximum)

    async def follows(self, target: Target) -> Follows:
        self._called("follows")
        return Follows(
            acted=self.acts, replicas=1, reason="ValidMetricFound" if self.acts else "FailedGetExternalMetric"
        )

    async def restore(self, target: Target, before: Snapshot) -> None:
        self._called("restore")
        self.now = before


@pytest.fixture
def memory_plans() -> MemoryScalePlans:
    return MemoryScalePlans()


@pytest.fixture
def fake_cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def new_plan(new_tenant_id: Any, clock: FakeClock) -> Any:
    """A plan of a tenant of its own, not kept yet."""

    def make(**changes: Any) -> ScalePlan:
        made = ScalePlan(
            plan_id=str(uuid7()),
            tenant_id=new_tenant_id(),
            service="fraud",
            minimum=1,
            maximum=4,
            state=PlanState.PLANNED,
            reason="",
            document={"current": 1, "proposed": 2},
            before=None,
            created_at=clock(),
            created_by="user:ann",
            actor_kind="person",
            updated_at=clock(),
        )
        return replace(made, **changes)

    return make


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.integration)])
async def scale_plans(request: pytest.FixtureRequest) -> AsyncIterator[ScalePlans]:
    """The fake and the real one: both pass the same tests."""
    if request.param == "memory":
        yield MemoryScalePlans()
        return
    from weir_common.postgres import postgres_pool
    from weir_tenant_admin.adapters.postgres_scale_plans import PostgresScalePlans

    settings = request.getfixturevalue("tenant_admin_settings")
    async with postgres_pool(settings.postgres, "tenant-admin test") as pool:
        yield PostgresScalePlans(pool)


_numbers = itertools.count(1)


@pytest.fixture
def new_tenant_id() -> Any:
    """Ids that no other test, run or helper uses."""

    def make() -> TenantId:
        return TenantId(f"ta-test-{os.getpid()}-{next(_numbers)}")

    return make


@pytest.fixture
def tenant_admin_settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """What the launcher gives to the service in the mesh that the tests run on."""
    mesh = Mesh.at(default_state_directory(os.environ, Path(__file__).parent), default_cache_directory(os.environ))
    for name, value in environment_of(mesh, "tenant-admin").items():
        monkeypatch.setenv(name, value)
    return Settings()


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.integration)])
async def tenant_store(request: pytest.FixtureRequest) -> AsyncIterator[TenantStore]:
    """The fake and the real registry: both pass the same tests."""
    if request.param == "memory":
        yield MemoryTenantStore()
        return
    from weir_common.postgres import postgres_pool
    from weir_tenant_admin.adapters.postgres_tenants import PostgresTenantStore

    settings = request.getfixturevalue("tenant_admin_settings")
    async with postgres_pool(settings.postgres, "tenant-admin test") as pool:
        yield PostgresTenantStore(pool)
