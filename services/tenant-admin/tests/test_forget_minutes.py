"""Old minutes go, of every tenant and kind; young ones stay."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from weir_common.errors import RetryError
from weir_common.ids import TenantId
from weir_common.postgres import as_tenant, postgres_pool
from weir_tenant_admin.adapters.postgres_ledger import PostgresLedger, add_to_ledger
from weir_tenant_admin.adapters.postgres_service_levels import PostgresServiceLevels, add_request_counts
from weir_tenant_admin.domain.ledger import Done
from weir_tenant_admin.forget_minutes import RETENTION, ForgetMinutes
from weir_tenant_admin.ports import RequestKey, RequestSums
from weir_tenant_admin.settings import Settings

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


class Rows:
    """So many old rows of each tenant."""

    def __init__(self, **rows: int) -> None:
        self.rows = Counter(rows)
        self.before: set[datetime] = set()
        self.fail = False

    async def forget(self, tenant_id: TenantId, before: datetime, *, limit: int) -> int:
        if self.fail:
            raise RetryError("away")
        self.before.add(before)
        deleted = min(limit, self.rows[tenant_id])
        self.rows[tenant_id] -= deleted
        return deleted


def shops() -> list[TenantId]:
    return [TenantId(f"shop-{number:04d}") for number in range(1_200)]


async def test_every_tenants_old_rows_go_in_steps() -> None:
    first, second = Rows(**{"shop-0000": 25_000, "shop-1199": 3}), Rows(**{"shop-0700": 1})
    assert await ForgetMinutes(shops, [first, second], lambda: NOW).sweep() == 25_004
    assert not +first.rows
    assert not +second.rows
    assert first.before == {NOW - RETENTION}


async def test_an_outage_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, stop = Rows(**{"shop-0001": 1}), asyncio.Event()
    rows.fail = True
    forget = ForgetMinutes(shops, [rows], lambda: NOW, first_after_seconds=0.01, every_seconds=0.05)
    running = asyncio.create_task(forget.run(stop))
    await asyncio.sleep(0.2)
    assert rows.rows["shop-0001"] == 1
    rows.fail = False
    async with asyncio.timeout(10):
        while rows.rows["shop-0001"]:
            await asyncio.sleep(0.02)
    stop.set()
    await running


@pytest.fixture
async def pool(tenant_admin_settings: Settings) -> AsyncIterator[asyncpg.Pool]:
    async with postgres_pool(tenant_admin_settings.postgres, "tenant-admin test") as opened:
        yield opened


@pytest.mark.integration
async def test_what_is_older_is_deleted_and_only_the_tenants_own(pool: asyncpg.Pool, new_tenant_id: Any) -> None:
    tenant, other = new_tenant_id(), new_tenant_id()
    minutes = [NOW - timedelta(days=days) for days in (1, 34, 36, 37, 38)]
    for who in (tenant, other):
        async with pool.acquire() as connection, connection.transaction():
            await as_tenant(connection, who)
            for minute in minutes:
                await add_to_ledger(connection, who, {(minute, "received"): 1}, {(minute, "fraud.score"): Done(1)})
                key = RequestKey(minute, "ingest", "/api/v2/events/batch", "POST")
                await add_request_counts(connection, who, {key: RequestSums(total=1)})
    ledger, levels = PostgresLedger(pool), PostgresServiceLevels(pool)
    before = NOW - RETENTION
    assert [await ledger.forget(tenant, before, limit=2) for _ in range(3)] == [4, 2, 0]
    assert [await levels.forget(tenant, before, limit=2) for _ in range(3)] == [2, 1, 0]
    longest = NOW - timedelta(days=100)
    assert len(await ledger.sides(tenant, longest)) == 2
    assert len(await levels.request_minutes(tenant, longest, routes=None, fast_within="5s")) == 2
    assert len(await ledger.sides(other, longest)) == 5
    for who in (tenant, other):
        assert await ledger.forget(who, NOW, limit=100) > 0
        assert await levels.forget(who, NOW, limit=100) > 0
