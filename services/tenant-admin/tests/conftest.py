"""Fakes of tenant-admin's ports, and the clock that tests move."""

from __future__ import annotations

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
from weir_common.ids import TenantId
from weir_common.kafka.records import OutgoingRecord
from weir_local.addresses import environment_of
from weir_local.mesh import Mesh, default_cache_directory, default_state_directory
from weir_tenant_admin.ports import StoredKey, Tenant, TenantStore
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
