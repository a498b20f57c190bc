"""The same tests for imported payments and waiting labels in memory and in PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import asyncpg
import pytest
from weir_common.ids import EventId, TenantId
from weir_common.postgres import tenant_transaction
from weir_fraud.adapters.memory_imports import MemoryImports
from weir_fraud.adapters.postgres_imports import PostgresImports, observed_in, record_imports
from weir_fraud.adapters.postgres_waiting_labels import PostgresWaitingLabels, let_wait
from weir_fraud.domain.payment import Payment, observed_of
from weir_fraud.ports import ImportedPayments, WaitingLabels

Make = Callable[..., Payment]


class Stores(Protocol):
    imports: ImportedPayments
    labels: WaitingLabels

    async def record(self, payments: Sequence[Payment]) -> None: ...

    async def let_wait(self, events: Sequence[tuple[TenantId, EventId]]) -> None: ...


class InMemory:
    def __init__(self) -> None:
        self.imports = self.labels = self._store = MemoryImports()

    async def record(self, payments: Sequence[Payment]) -> None:
        await self._store.record(payments)

    async def let_wait(self, events: Sequence[tuple[TenantId, EventId]]) -> None:
        await self._store.let_wait(events, datetime.now(UTC))


class InPostgres:
    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self.imports = PostgresImports(pool)
        self.labels = PostgresWaitingLabels(pool)

    async def record(self, payments: Sequence[Payment]) -> None:
        async with self._pool.acquire(timeout=5) as connection, connection.transaction():
            await record_imports(connection, payments)

    async def let_wait(self, events: Sequence[tuple[TenantId, EventId]]) -> None:
        async with self._pool.acquire(timeout=5) as connection, connection.transaction():
            await let_wait(connection, events)


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.integration)])
def stores(request: pytest.FixtureRequest) -> Stores:
    return InMemory() if request.param == "memory" else InPostgres(request.getfixturevalue("pool"))


@pytest.fixture
def other(tenant: TenantId) -> TenantId:
    return TenantId(f"{tenant}-2")


async def found(imports: ImportedPayments, tenant_id: TenantId, *users: str) -> list[tuple[EventId, datetime]]:
    return [tuple(one) async for one in imports.of_subject(tenant_id, users)]  # type: ignore[misc]


async def test_an_imported_payment_is_found_by_its_event(
    stores: Stores, make_payment: Make, tenant: TenantId, other: TenantId
) -> None:
    """With the digests of every history that has it; said again it stays as it is, and another tenant has one of its own."""
    whole = make_payment(user_id="ann", device="d", payment_token="p", merchant="m", address="a", network="n")
    bare = make_payment(user_id=None, anonymous_id=None)
    twin = make_payment(after=60, tenant_id=other, event_id=whole.event_id, user_id="bob")
    await stores.record([whole, twin, bare])
    await stores.record([make_payment(after=9, event_id=whole.event_id, user_id="eve")])
    unknown = EventId(str(uuid.uuid4()))
    ids = [whole.event_id, bare.event_id, unknown]
    assert await stores.labels.observed(tenant, ids) == {
        whole.event_id: observed_of(whole),
        bare.event_id: observed_of(bare),
    }
    assert await stores.labels.observed(other, ids) == {whole.event_id: observed_of(twin)}
    assert await stores.labels.observed(tenant, []) == {}


async def test_a_person_has_those_that_are_theirs(
    stores: Stores, make_payment: Make, tenant: TenantId, other: TenantId
) -> None:
    own = [make_payment(after=number, user_id="ann") for number in range(3)]
    visit = make_payment(user_id=None, anonymous_id="ann")
    more = [make_payment(user_id="bob"), make_payment(user_id=None, anonymous_id=None)]
    await stores.record([*own, visit, *more, make_payment(tenant_id=other, user_id="ann")])
    of_ann = sorted((payment.event_id, payment.at) for payment in own)
    assert await found(stores.imports, tenant, "u\x00ann") == of_ann
    both = sorted([*of_ann, (visit.event_id, visit.at)])
    assert await found(stores.imports, tenant, "u\x00ann", "a\x00ann") == both
    assert await found(stores.imports, tenant, "u\x00eve") == []
    assert await found(stores.imports, tenant) == []


async def test_a_person_with_many(stores: Stores, make_payment: Make, tenant: TenantId) -> None:
    many = [make_payment(after=number, user_id="ann") for number in range(450)]
    await stores.record(many)
    assert await found(stores.imports, tenant, "u\x00ann") == sorted((one.event_id, one.at) for one in many)


async def test_the_oldest_are_forgotten_a_chunk_at_a_time(
    stores: Stores, make_payment: Make, tenant: TenantId, other: TenantId
) -> None:
    payments = [make_payment(after=number) for number in range(5)]
    kept = make_payment(tenant_id=other)
    await stores.record([*reversed(payments), kept])
    until = payments[2].at
    ids = [payment.event_id for payment in payments]
    assert await stores.imports.forget(tenant, until, 2) == 2
    assert set(await stores.labels.observed(tenant, ids)) == set(ids[2:])
    assert await stores.imports.forget(tenant, until, 2) == 1
    assert await stores.imports.forget(tenant, until, 2) == 0
    assert set(await stores.labels.observed(tenant, ids)) == set(ids[3:])
    assert kept.event_id in await stores.labels.observed(other, [kept.event_id])


async def test_labels_wait_in_the_order_in_which_they_came(stores: Stores, tenant: TenantId, other: TenantId) -> None:
    """Other tenants' may stand between; the running service leaves alone what has no payment."""
    began = datetime.now(UTC)
    events = [(owner, EventId(str(uuid.uuid4()))) for owner in (tenant, other, tenant)]
    count = await stores.labels.waiting()
    await stores.let_wait(events)
    await stores.let_wait(events[:1])
    assert await stores.labels.waiting() >= count + 4

    async def own(after: int = 0) -> list[Any]:
        return [one for one in await stores.labels.page(after, 10_000) if one.tenant_id in (tenant, other)]

    page = await own()
    assert [(one.tenant_id, one.event_id) for one in page] == [*events, events[0]]
    assert all(abs(one.since - began) < timedelta(minutes=1) for one in page)
    assert await own(page[1].place) == page[2:]
    assert len(await stores.labels.page(page[0].place - 1, 1)) == 1
    await stores.labels.done([page[0].place, page[2].place])
    assert await own() == [page[1], page[3]]
    await stores.labels.done([page[1].place, page[3].place])


@pytest.mark.integration
async def test_a_tenant_sees_and_writes_its_own(
    pool: asyncpg.Pool, make_payment: Make, tenant: TenantId, other: TenantId
) -> None:
    stores = InPostgres(pool)
    payment = make_payment(user_id="ann")
    await stores.record([payment])
    async with tenant_transaction(pool, other) as connection:
        assert await observed_in(connection, tenant, [payment.event_id]) == {}
        assert await connection.fetchval("SELECT count(*) FROM fraud.imported_payment") == 0
        assert await connection.execute("DELETE FROM fraud.imported_payment") == "DELETE 0"
    async with pool.acquire(timeout=5) as connection:
        assert await connection.fetchval("SELECT count(*) FROM fraud.imported_payment") == 0, "without a tenant nothing"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with tenant_transaction(pool, other) as connection:
            await connection.execute(
                "INSERT INTO fraud.imported_payment (tenant_id, event_id, event_timestamp, histories) VALUES ($1, $2, now(), '')",
                tenant,
                uuid.uuid4(),
            )
