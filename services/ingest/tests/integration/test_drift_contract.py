"""What every store of unknown fields must do, the fake and the real one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest
from weir_common.ids import TenantId
from weir_common.postgres import postgres_pool
from weir_ingest.adapters.memory_drift import MemoryDrift
from weir_ingest.adapters.postgres_drift import PostgresDrift
from weir_ingest.domain.drift import DriftedField, Sighting
from weir_ingest.ports import DriftStore
from weir_ingest.settings import IngestSettings

DAY = date(2026, 11, 25)
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
LONG_AGO = date(2000, 1, 1)


@pytest.fixture
async def pool(mesh_settings: IngestSettings) -> AsyncIterator[asyncpg.Pool]:
    async with postgres_pool(mesh_settings.postgres, "test") as opened:
        yield opened


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.integration)])
def store(request: pytest.FixtureRequest) -> DriftStore:
    return MemoryDrift() if request.param == "memory" else PostgresDrift(request.getfixturevalue("pool"))


def sighting(field: str, *, days: int = 0, events: int = 1, version: str = "2.1") -> Sighting:
    moment = NOON + timedelta(days=days)
    return Sighting(moment.date(), version, field, events, moment, moment + timedelta(minutes=1))


async def test_days_add_up_and_the_most_frequent_is_first(store: DriftStore, tenant: TenantId) -> None:
    await store.add(tenant, [sighting("/a"), sighting("/b", events=2)], forget_before=LONG_AGO)
    await store.add(tenant, [sighting("/a", events=3), sighting("/a", days=1)], forget_before=LONG_AGO)
    await store.add(tenant, [sighting("/a\x00", version="2.2")], forget_before=LONG_AGO)
    minute, day = timedelta(minutes=1), timedelta(days=1)
    assert await store.read(tenant, DAY, limit=10) == [
        DriftedField("/a", "2.1", 5, 2, NOON, NOON + day + minute),
        DriftedField("/b", "2.1", 2, 1, NOON, NOON + minute),
        DriftedField("/a\ufffd", "2.2", 1, 1, NOON, NOON + minute),
    ]
    assert [one.events for one in await store.read(tenant, DAY + day, limit=10)] == [1]
    assert len(await store.read(tenant, DAY, limit=2)) == 2


async def test_a_tenant_sees_and_forgets_its_own_only(store: DriftStore, tenant: TenantId) -> None:
    other = TenantId(f"{tenant}-other")
    await store.add(tenant, [sighting("/a")], forget_before=LONG_AGO)
    await store.add(other, [sighting("/b")], forget_before=DAY + timedelta(days=5))
    assert [one.field for one in await store.read(tenant, LONG_AGO, limit=10)] == ["/a"]
    assert await store.read(other, LONG_AGO, limit=10) == []
    await store.add(tenant, [sighting("/c", days=2)], forget_before=DAY + timedelta(days=1))
    assert [one.field for one in await store.read(tenant, LONG_AGO, limit=10)] == ["/c"]
