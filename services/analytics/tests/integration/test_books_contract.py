"""What the books promise, of the ones in memory and of those in PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import asyncpg
import pytest
from weir_analytics.adapters.memory_books import MemoryBooks
from weir_analytics.adapters.postgres_books import PostgresBooks
from weir_analytics.adapters.postgres_rollups import PostgresRollups
from weir_analytics.domain.catalogue import load_catalogue
from weir_analytics.domain.facts import OrderLine, Purchase
from weir_analytics.domain.rollup import Cell
from weir_analytics.domain.sessions import Activity, position, split
from weir_analytics.domain.sketches.distinct_count import DistinctCount
from weir_analytics.domain.sketches.log_histogram import LogHistogram
from weir_analytics.domain.window import Window
from weir_analytics.ports import Books, Changes, RollupReader, TenantBooks
from weir_common.ids import TenantId
from weir_common.kafka.consumer import Transaction

OpenBooks = Callable[[TenantId], AbstractAsyncContextManager[TenantBooks]]
CATALOGUE = load_catalogue()
MINUTE = 60_000_000


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.integration)])
def maybe_pool(request: pytest.FixtureRequest) -> asyncpg.Pool | None:
    """None for the books in memory."""
    return request.getfixturevalue("pool") if request.param == "postgres" else None


@pytest.fixture
def opened(maybe_pool: asyncpg.Pool | None) -> tuple[OpenBooks, RollupReader]:
    if maybe_pool is None:
        memory = MemoryBooks()

        @asynccontextmanager
        async def in_memory(tenant_id: TenantId) -> AsyncIterator[TenantBooks]:
            yield await memory.of(tenant_id)

        return in_memory, memory
    pool = maybe_pool

    @asynccontextmanager
    async def in_postgres(tenant_id: TenantId) -> AsyncIterator[TenantBooks]:
        async with pool.acquire() as connection, connection.transaction():
            books: Books = PostgresBooks(Transaction(connection))
            await books.lock([tenant_id])
            yield await books.of(tenant_id)

    return in_postgres, PostgresRollups(pool, CATALOGUE)


@pytest.fixture
def open_books(opened: tuple[OpenBooks, RollupReader]) -> OpenBooks:
    return opened[0]


@pytest.fixture
def rollups(opened: tuple[OpenBooks, RollupReader]) -> RollupReader:
    return opened[1]


@pytest.fixture
def tenant() -> TenantId:
    return TenantId(f"test-analytics-{uuid.uuid4().hex[:12]}")


async def test_orders_are_found_again_as_they_were(open_books: OpenBooks, tenant: TenantId) -> None:
    purchase = Purchase(
        1_705_314_600_123_456,
        "order:o",
        "e1",
        "USD",
        Decimal("12.50"),
        None,
        "DE",
        (OrderLine("Tö¥s", Decimal("0.10")),),
    )
    async with open_books(tenant) as books:
        assert await books.orders(["order:o"]) == {}
        await books.store(Changes(orders={"order:o": purchase}))
    earlier = Purchase(1, "order:o", "e0", None, None, Decimal(3), "unknown", ())
    async with open_books(tenant) as books:
        assert await books.orders(["order:o", "order:p"]) == {"order:o": purchase}
        await books.store(Changes(orders={"order:o": earlier}))
    async with open_books(tenant) as books:
        assert await books.orders(["order:o"]) == {"order:o": earlier}


def activity(minute: float, event_id: str, user: str | None = None, sequence: int = 0) -> Activity:
    return Activity(round(minute * MINUTE), sequence, event_id, "s", user, purchase=False, page_view=True)


async def test_a_devices_last_session_and_its_history_come_back(open_books: OpenBooks, tenant: TenantId) -> None:
    first = [activity(0, "a"), activity(10, "b", "U1")]
    second = [activity(100, "c", sequence=1), activity(100, "d", sequence=2), activity(101, "e")]
    other = [activity(5, "f")]
    one, two = split([*first, *second])
    (three,) = split(other)
    async with open_books(tenant) as books:
        await books.store(Changes(activities={"anonymous:A": first}, last_sessions={"anonymous:A": one}))
    async with open_books(tenant) as books:
        assert await books.last_sessions(["anonymous:A", "anonymous:B"]) == {"anonymous:A": one}
        await books.store(
            Changes(
                activities={"anonymous:A": second, "anonymous:B": other},
                last_sessions={"anonymous:A": two, "anonymous:B": three},
            )
        )
    async with open_books(tenant) as books:
        last = await books.last_sessions(["anonymous:A", "anonymous:B", "anonymous:C"])
        assert last == {"anonymous:A": two, "anonymous:B": three}
        recent = await books.histories(["anonymous:A", "anonymous:B", "anonymous:C"], 50 * MINUTE)
        assert sorted(recent["anonymous:A"].activities, key=position) == second
        assert not recent["anonymous:A"].complete
        assert (recent["anonymous:B"].activities, recent["anonymous:B"].complete) == ([], False)
        assert (recent["anonymous:C"].activities, recent["anonymous:C"].complete) == ([], True)
        for since in (None, 0):
            whole = await books.histories(["anonymous:A"], since)
            assert sorted(whole["anonymous:A"].activities, key=position) == [*first, *second]
            assert whole["anonymous:A"].complete


async def test_counters_add_and_sketches_replace(
    open_books: OpenBooks, rollups: RollupReader, tenant: TenantId
) -> None:
    sales = {
        Cell("total_sales", step, 0, (currency,)): (Decimal("0.10"), Decimal(1))
        for step in (60, 900)
        for currency in ("USD", "EUR")
    }
    people = Cell("active_people", 60, 0, ())
    pages = Cell("page_load_p95", 60, 60, ())
    two = DistinctCount.of([1, 2**64 - 1])
    for _ in range(3):
        async with open_books(tenant) as books:
            assert (await books.sketches([people, pages])).keys() <= {people, pages}
            await books.store(
                Changes(
                    counters=sales,
                    sketches={people: two, pages: LogHistogram.of([1.0, 0.0])},
                    events=1,
                    newest_event=5,
                    newest_accepted_at=datetime(2026, 1, 1, tzinfo=UTC),
                )
            )
    async with open_books(tenant) as books:
        stored = await books.sketches([people, pages, Cell("active_people", 60, 60, ())])
        assert {cell: sketch.encode() for cell, sketch in stored.items()} == {
            people: two.encode(),
            pages: LogHistogram.of([0.0, 1.0]).encode(),
        }
    read = await rollups.read(tenant, Window.over(0, 120))
    assert sorted((row.dimensions, row.bucket, row.value, row.weight) for row in read.counters) == [
        (("EUR",), 0, Decimal("0.30"), Decimal(3)),
        (("USD",), 0, Decimal("0.30"), Decimal(3)),
    ]
    assert {(row.metric, row.bucket) for row in read.sketches} == {("active_people", 0), ("page_load_p95", 60)}
    assert read.freshness.newest_accepted_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert read.freshness.newest_event_at == datetime(1970, 1, 1, 0, 0, 0, 5, tzinfo=UTC)


async def test_a_long_range_is_read_from_quarter_hours_and_minutes_at_its_edges(
    open_books: OpenBooks, rollups: RollupReader, tenant: TenantId
) -> None:
    hour = 3600
    orders = {
        # Minutes say 1, quarters 100: what is read tells where from.
        **{Cell("orders", 60, at, ("USD",)): (Decimal(1), Decimal(1)) for at in range(0, 6 * hour, 60)},
        **{Cell("orders", 900, at, ("USD",)): (Decimal(100), Decimal(100)) for at in range(0, 6 * hour, 900)},
    }
    async with open_books(tenant) as books:
        await books.store(Changes(counters=orders))
    read = await rollups.read(tenant, Window.over(60, 6 * hour - 120))
    by_bucket: dict[int, Decimal] = {}
    for row in read.counters:
        by_bucket[row.bucket] = by_bucket.get(row.bucket, Decimal(0)) + row.value
    assert by_bucket[0] == 14
    assert by_bucket[900] == 100
    assert by_bucket[6 * hour - 900] == 13


async def test_an_empty_tenant_has_empty_books(open_books: OpenBooks, rollups: RollupReader, tenant: TenantId) -> None:
    async with open_books(tenant) as books:
        assert await books.last_sessions(["anonymous:A"]) == {}
        await books.store(Changes())
    read = await rollups.read(tenant, Window.over(0, 3600))
    assert (list(read.counters), list(read.sketches)) == ([], [])
    assert read.freshness.applied_at is None
    assert abs(read.as_of - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.integration
async def test_another_tenant_sees_and_changes_nothing(pool: asyncpg.Pool, tenant: TenantId) -> None:
    async with pool.acquire() as connection, connection.transaction():
        books = await PostgresBooks(Transaction(connection)).of(tenant)
        await books.store(Changes(counters={Cell("orders", 60, 0, ("USD",)): (Decimal(1), Decimal(1))}))
    for setting in ("someone-else", ""):
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT set_config('weir.tenant_id', $1, true)", setting)
            assert (
                await connection.fetchval("SELECT count(*) FROM analytics.rollup_counter WHERE tenant_id = $1", tenant)
                == 0
            )
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(
                    "INSERT INTO analytics.rollup_counter VALUES ($1, 'orders', 60, 'epoch', '[]', 1, 1)", tenant
                )
