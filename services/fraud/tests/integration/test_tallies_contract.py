"""The same tests for the tallies of shadows in memory and in PostgreSQL."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, date, datetime
from typing import Any

import asyncpg
import pytest
from weir_common.ids import TenantId
from weir_common.postgres import tenant_transaction
from weir_fraud.adapters.memory_models import MemoryTallies
from weir_fraud.adapters.postgres_models import PostgresModels
from weir_fraud.adapters.postgres_tallies import PostgresTallies
from weir_fraud.domain.outcome import Outcome
from weir_fraud.ports import ShadowTallies, Tally

DAY = date(2026, 3, 4)


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.integration)])
def store(request: pytest.FixtureRequest) -> Any:
    """Each implementation of `ShadowTallies`."""
    if request.param == "memory":
        return MemoryTallies()
    return PostgresTallies(request.getfixturevalue("pool"))


async def registered(store: ShadowTallies, toys: Any) -> str:
    """A version; PostgreSQL takes tallies of those that it knows."""
    version = f"contract-{uuid.uuid4().hex[:10]}"
    if isinstance(store, PostgresTallies):
        at = datetime(1970, 1, 1, tzinfo=UTC)
        models = PostgresModels(store._pool, lambda: None)
        await models.register(toys.card(version), version, toys.hashes(version), "op", at, toys.audited)
    return version


async def test_payments_add_up_for_each_tenant_apart(store: ShadowTallies, toys: Any, tenant: TenantId) -> None:
    version = await registered(store, toys)
    other = TenantId(f"{tenant}-other")
    cell = Tally(version, version, DAY, Outcome.APPROVE, Outcome.DECLINE)
    later = cell._replace(day=date(2026, 3, 5))
    await store.add({(tenant, cell): 2, (other, cell): 5, (tenant, later): 1})
    await asyncio.gather(*(store.add({(tenant, cell): 1, (other, later): 1}) for _ in range(3)))
    assert await store.of(tenant, version, DAY) == {cell: 5, later: 1}
    assert await store.of(other, version, DAY) == {cell: 5, later: 3}
    assert await store.of(tenant, version, later.day) == {later: 1}
    assert await store.of(tenant, "another", DAY) == {}
    assert await store.of(TenantId("nobody"), version, DAY) == {}


@pytest.mark.integration
async def test_no_tenant_reads_another_s(pool: asyncpg.Pool, tenant: TenantId, toys: Any) -> None:
    store = PostgresTallies(pool)
    version = await registered(store, toys)
    cell = Tally(version, version, DAY, Outcome.APPROVE, Outcome.DECLINE)
    await store.add({(tenant, cell): 2})
    async with tenant_transaction(pool, TenantId(f"{tenant}-other"), readonly=True) as connection:
        assert await connection.fetchval("SELECT count(*) FROM fraud.shadow_tally WHERE version = $1", version) == 0
