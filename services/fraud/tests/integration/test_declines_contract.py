"""The same tests for the shares of declines and their halts in memory and in PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest
from weir_common.audit import AuditEntry
from weir_common.ids import TenantId
from weir_common.kafka.topics import AUDIT
from weir_common.postgres import tenant_transaction
from weir_common.problems import Conflict
from weir_fraud.adapters.memory_declines import MemoryDeclines
from weir_fraud.adapters.postgres_declines import PostgresDeclines
from weir_fraud.domain.decline_corridor import Counted, DeclineCorridor, Halt
from weir_fraud.ports import DeclineStore

AT = datetime(2026, 3, 4, 12, 30, 15, 123456, tzinfo=UTC)
MINUTE = AT.replace(second=0, microsecond=0)
CORRIDOR = DeclineCorridor(window_minutes=10, least_decisions=5, ceiling=0.30000000000000004, floor=0.01)


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.integration)])
def store(request: pytest.FixtureRequest) -> Any:
    """Each implementation of `DeclineStore`."""
    if request.param == "memory":
        return MemoryDeclines()
    return PostgresDeclines(request.getfixturevalue("pool"), lambda: None)


def halt_of(tenant: TenantId, at: datetime = AT) -> Halt:
    return Halt(tenant_id=tenant, halted_at=at, decisions=10, declines=4, corridor=CORRIDOR, policy_version=3)


def entry(tenant: TenantId, ref: str) -> AuditEntry:
    return AuditEntry(tenant_id=tenant, actor="op", actor_kind="person", action="x", object_ref=ref, outcome="success")


async def test_minutes_add_up_for_each_tenant_apart(store: DeclineStore, tenant: TenantId) -> None:
    other = TenantId(f"{tenant}-other")
    windows = {tenant: 10, other: 1}
    first = {
        (tenant, MINUTE): Counted(5, 2),
        (tenant, MINUTE - timedelta(minutes=9)): Counted(7, 1),
        (tenant, MINUTE - timedelta(minutes=10)): Counted(100, 100),
        (other, MINUTE): Counted(3, 0),
        (other, MINUTE - timedelta(minutes=1)): Counted(9, 9),
    }
    assert await store.add(first, windows, AT) == {tenant: Counted(12, 3), other: Counted(3, 0)}
    await asyncio.gather(*(store.add({(tenant, MINUTE): Counted(1, 1)}, {tenant: 10}, AT) for _ in range(4)))
    assert await store.counted(tenant, 10, AT) == Counted(16, 7)
    assert await store.counted(tenant, 11, AT) == Counted(116, 107)
    assert await store.counted(tenant, 10, AT + timedelta(minutes=1)) == Counted(9, 6)
    assert await store.counted(tenant, 10, AT - timedelta(minutes=1)) == Counted(107, 101)
    assert await store.counted(TenantId("nobody"), 10, AT) == Counted(0, 0)
    assert await store.add({}, {tenant: 1}, AT) == {tenant: Counted(9, 6)}


async def test_one_halt_until_it_is_lifted(store: DeclineStore, tenant: TenantId) -> None:
    other = TenantId(f"{tenant}-other")
    before = await store.revision()
    assert await store.in_force(tenant) is None
    await store.add({(tenant, MINUTE): Counted(10, 4), (other, MINUTE): Counted(1, 0)}, {tenant: 10, other: 10}, AT)
    made = await asyncio.gather(
        *(store.halt(halt_of(tenant, AT + timedelta(microseconds=n)), entry(tenant, "halt")) for n in range(3))
    )
    assert sorted(made) == [False, False, True]
    found = await store.in_force(tenant)
    assert found is not None
    assert msgspec.structs.replace(found, halted_at=AT) == halt_of(tenant)
    assert await store.in_force(other) is None
    assert set(await store.halted([tenant, other])) == {tenant}
    halted = await store.revision()
    assert halted[0] > before[0]
    assert halted[1] >= 1

    with pytest.raises(Conflict):
        await store.lift(tenant, AT - timedelta(days=1), "op", "n", AT, entry(tenant, "lift"))
    with pytest.raises(Conflict):
        await store.lift(other, found.halted_at, "op", "n", AT, entry(tenant, "lift"))
    later = AT + timedelta(minutes=1)
    lifted = await store.lift(tenant, found.halted_at, "op", "looked at ü", later, entry(tenant, "lift"))
    assert (lifted.lifted_at, lifted.lifted_by, lifted.note) == (later, "op", "looked at ü")
    assert await store.in_force(tenant) is None
    assert set(await store.halted([tenant, other])) == set()
    assert (await store.revision())[0] > halted[0]
    assert await store.counted(tenant, 10, AT) == Counted(0, 0)
    assert await store.counted(other, 10, AT) == Counted(1, 0)
    with pytest.raises(Conflict):
        await store.lift(tenant, found.halted_at, "op", "n", later, entry(tenant, "lift"))

    assert not await store.halt(halt_of(tenant, later), entry(tenant, "halt")), "counted before it was lifted"
    again = later + timedelta(seconds=1)
    assert await store.halt(halt_of(tenant, again), entry(tenant, "halt"))
    assert [one.halted_at for one in await store.halts(tenant, None, 10)] == [again, found.halted_at]
    assert [one.halted_at for one in await store.halts(tenant, again, 10)] == [found.halted_at]
    assert len(await store.halts(tenant, None, 1)) == 1
    assert await store.halts(other, None, 10) == []
    await store.lift(tenant, again, "op", "n", again, entry(tenant, "lift"))


@pytest.mark.integration
async def test_no_tenant_reads_another_s(pool: asyncpg.Pool, tenant: TenantId) -> None:
    store = PostgresDeclines(pool, lambda: None)
    await store.add({(tenant, MINUTE): Counted(10, 4)}, {tenant: 10}, AT)
    await store.halt(halt_of(tenant), entry(tenant, "halt"))
    async with tenant_transaction(pool, TenantId(f"{tenant}-other"), readonly=True) as connection:
        for table in ("decline_tally", "decline_halt"):
            assert await connection.fetchval(f"SELECT count(*) FROM fraud.{table} WHERE tenant_id = $1", tenant) == 0
    await store.lift(tenant, AT, "op", "n", AT, entry(tenant, "lift"))


@pytest.mark.integration
async def test_a_halt_and_its_audit_entry_commit_together(pool: asyncpg.Pool, tenant: TenantId) -> None:
    woken: list[int] = []
    store = PostgresDeclines(pool, lambda: woken.append(1))
    # The running service relays the same outbox: look inside a transaction that holds its lock.
    async with pool.acquire(timeout=5) as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext('outbox:fraud'))")
        assert await store.halt(halt_of(tenant), entry(tenant, "the-halt"))
        assert not await store.halt(halt_of(tenant), entry(tenant, "another"))
        with pytest.raises(Conflict):
            await store.lift(tenant, AT - timedelta(days=1), "op", "n", AT, entry(tenant, "no-lifting"))
        await store.lift(tenant, AT, "op", "n", AT, entry(tenant, "the-lifting"))
        rows = await connection.fetch(
            "SELECT topic, value FROM fraud.outbox WHERE key = $1 AND headers ->> 'weir-tenant' = $2 ORDER BY id",
            tenant.encode(),
            tenant,
        )
    assert {row["topic"] for row in rows} == {AUDIT}
    assert [msgspec.json.decode(row["value"])["object_ref"] for row in rows] == ["the-halt", "the-lifting"]
    assert len(woken) == 2
