"""The digest of the books says of each minute what the books themselves say."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from weir_common.postgres import as_tenant, postgres_pool
from weir_tenant_admin.adapters.postgres_ledger import RECEIVED, PostgresLedger, add_to_ledger
from weir_tenant_admin.domain.ledger import Done
from weir_tenant_admin.read_ledger import CONSUMERS, balanced_minutes
from weir_tenant_admin.settings import Settings

pytestmark = pytest.mark.integration

FIRST = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
ALL = {name: Done(10) for name in CONSUMERS}
MINUTES: list[tuple[bool, Mapping[str, int], Mapping[str, Done]]] = [
    (True, {"accepted": 10, "duplicate": 2}, ALL),
    (True, {"accepted": 10}, {**ALL, "fraud.score": Done(9, 3, 1)}),
    (True, {"invalid": 4}, {}),
    (True, {"accepted": 10}, {**ALL, "another.consumer": Done(10)}),
    (False, {"accepted": 10, "without": 1}, ALL),
    (False, {"accepted": 10}, {name: Done(10) for name in CONSUMERS[1:]}),
    (False, {"accepted": 10}, {**ALL, "fraud.score": Done(9)}),
    (False, {"accepted": 10}, {name: Done(11) for name in CONSUMERS}),
    (False, {"accepted": 10}, {name: Done(9, 1) for name in CONSUMERS}),
    (False, {"accepted": 10}, {**ALL, "another.consumer": Done(11)}),
    (False, {}, ALL),
    (False, {"invalid": 1}, {"fraud.score": Done(1)}),
]


@pytest.fixture
async def pool(tenant_admin_settings: Settings) -> AsyncIterator[asyncpg.Pool]:
    async with postgres_pool(tenant_admin_settings.postgres, "tenant-admin test") as opened:
        yield opened


async def test_even_is_what_has_no_difference(pool: asyncpg.Pool, new_tenant_id: Any) -> None:
    tenant, ledger = new_tenant_id(), PostgresLedger(pool)
    async with pool.acquire() as connection, connection.transaction():
        await as_tenant(connection, tenant)
        for number, (_, fates, consumers) in enumerate(MINUTES):
            minute = FIRST + timedelta(minutes=number)
            # The event ``without`` a fate came in, and nothing became of it.
            door = {(minute, fate): events for fate, events in fates.items() if fate != "without"}
            received = sum(fates.values())
            await add_to_ledger(
                connection,
                tenant,
                {**door, **({(minute, RECEIVED): received} if received else {})},
                {(minute, name): done for name, done in consumers.items()},
            )
    digest = await ledger.digest(tenant, FIRST, CONSUMERS)
    even = dict(digest.even)
    assert even == {
        FIRST + timedelta(minutes=number): fates.get("accepted", 0)
        for number, (is_even, fates, _) in enumerate(MINUTES)
        if is_even
    }
    sides = {side.minute: side for side in await ledger.sides(tenant, FIRST)}
    assert {side.minute: side for side in digest.uneven} == {
        minute: side for minute, side in sides.items() if minute not in even
    }
    later = FIRST + timedelta(hours=1)
    for minute in even:
        assert not balanced_minutes([sides[minute]], later)[0].differences
    for side in digest.uneven:
        assert balanced_minutes([side], later)[0].differences
    # Those that are even have no part in how the others are judged.
    judged = {minute.minute: minute for minute in balanced_minutes(sides.values(), later)}
    assert [judged[side.minute] for side in digest.uneven] == balanced_minutes(digest.uneven, later)
    assert (await ledger.digest(tenant, FIRST + timedelta(hours=1), CONSUMERS)).even == []
    assert await ledger.forget(tenant, FIRST + timedelta(hours=1), limit=1_000) > 0
