"""The same tests for the registry in memory and in PostgreSQL.

There is one registry for the whole mesh: what these tests promote is real there, and the running service refuses it, since it has no files.
Each test leaves the champion that it found.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest
from weir_common.ids import TenantId
from weir_common.kafka.topics import AUDIT
from weir_common.postgres import tenant_transaction
from weir_common.problems import Conflict, NotFound
from weir_fraud.adapters.memory_models import MemoryModels
from weir_fraud.adapters.postgres_models import PostgresModels
from weir_fraud.domain.model_stage import Stage
from weir_fraud.domain.promotion_gate import Check, GateRecord
from weir_fraud.ports import ModelRegistry
from weir_fraud.settings import FraudSettings

AT = datetime(2026, 3, 4, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
async def with_champion_restored(pool: asyncpg.Pool, mesh_settings: FraudSettings) -> AsyncIterator[None]:
    """As the owner, who may do what the service may not."""
    served = "SELECT version, stage FROM fraud.model WHERE stage IN ('champion', 'challenger', 'shadow')"
    before = await pool.fetch(served)
    yield
    owner = await asyncpg.connect(mesh_settings.postgres.owner_dsn.get_secret_value(), timeout=10)
    try:
        async with owner.transaction():
            await owner.execute(
                "UPDATE fraud.model SET stage = 'retired', overrides = 0 WHERE version LIKE 'contract-%'"
            )
            for row in before:
                await owner.execute(
                    "UPDATE fraud.model SET stage = $2 WHERE version = $1", row["version"], row["stage"]
                )
            await owner.execute("UPDATE fraud.model_revision SET revision = revision + 1")
    finally:
        await owner.close()


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.integration)])
def store(request: pytest.FixtureRequest) -> Any:
    """Each implementation of `ModelRegistry`."""
    if request.param == "memory":
        return MemoryModels()
    request.getfixturevalue("with_champion_restored")
    return PostgresModels(request.getfixturevalue("pool"), lambda: None)


@pytest.fixture
def registered_at() -> datetime:
    """An hour of the past that no other run has taken."""
    return datetime(1980, 1, 1, tzinfo=UTC) + timedelta(hours=uuid.uuid4().int % 300_000)


@pytest.fixture
async def names(store: ModelRegistry, toys: Any, registered_at: datetime) -> list[str]:
    """Three registered versions; the first one is the champion."""
    made = [f"contract-{uuid.uuid4().hex[:10]}-{letter}" for letter in "abc"]
    for number, name in enumerate(made):
        at = registered_at + timedelta(microseconds=number)
        await store.register(toys.card(name), f"{name}-x", toys.hashes(name), "op", at, toys.audited)
    first = await store.version(made[0])
    assert first is not None
    if first.stage is not Stage.CHAMPION:
        await store.promote(made[0], Stage.CHAMPION, "op", "", AT, toys.audited)
    return made


async def stages(store: ModelRegistry, names: list[str]) -> list[str]:
    found = [await store.version(name) for name in names]
    return [one.stage.value for one in found if one is not None]


async def test_what_was_registered_is_kept_as_it_is(
    store: ModelRegistry, names: list[str], toys: Any, registered_at: datetime
) -> None:
    found = await store.version(names[1])
    assert found is not None
    assert (found.card, found.folder, found.files) == (toys.card(names[1]), f"{names[1]}-x", toys.hashes(names[1]))
    assert (found.stage, found.overrides, found.first_served_at) == (Stage.CANDIDATE, 0, None)
    assert (found.registered_by, found.registered_at) == ("op", registered_at + timedelta(microseconds=1))
    assert await store.register(found.card, "elsewhere", {}, "other", AT, toys.audited) == []
    assert await store.version(names[1]) == found
    assert await store.version("nobody") is None


async def test_versions_come_in_pages_the_newest_first(
    store: ModelRegistry, names: list[str], registered_at: datetime
) -> None:
    before = (registered_at + timedelta(microseconds=3), "")
    page = await store.versions(before, 2)
    assert [one.version for one in page] == [names[2], names[1]]
    last = page[-1]
    assert (await store.versions((last.registered_at, last.version), 1))[0].version == names[0]


async def test_promotion_and_rollback(store: ModelRegistry, names: list[str], toys: Any) -> None:
    a, b, c = names
    for version in (b, c):
        moved = await store.promote(version, Stage.CHAMPION, "ann", "why", AT, toys.audited)
        assert (moved.stage, moved.staged_by, moved.staged_at, moved.first_served_at) == (Stage.CHAMPION, "ann", AT, AT)
    assert await stages(store, names) == ["retired", "retired", "champion"]
    assert await store.previous() == b
    back = await store.roll_back("bob", "no", AT, toys.audited)
    assert (back.version, await stages(store, names)) == (b, ["retired", "champion", "retired"])
    assert await store.previous() == a
    assert (await store.roll_back("bob", "no", AT, toys.audited)).version == a
    newest, oldest = (await store.changes(b, 10))[0], (await store.changes(b, 10))[-1]
    assert (newest.stage_before, newest.stage_after, newest.changed_by) == (Stage.CHAMPION, Stage.RETIRED, "bob")
    assert (oldest.stage_after, oldest.previous, oldest.note) == (Stage.CHAMPION, a, "why")
    assert len(await store.changes(b, 2)) == 2


async def test_moves_that_there_are_not(store: ModelRegistry, names: list[str], toys: Any) -> None:
    with pytest.raises(NotFound):
        await store.promote("nobody", Stage.SHADOW, "op", "", AT, toys.audited)
    with pytest.raises(Conflict, match="already"):
        await store.promote(names[0], Stage.CHAMPION, "op", "", AT, toys.audited)
    assert await stages(store, names) == ["champion", "candidate", "candidate"]


async def test_the_revision_tells_of_every_change(
    store: ModelRegistry, names: list[str], toys: Any, tenant: TenantId
) -> None:
    first = await store.serving(None)
    assert first is not None
    assert first.versions[0].version == names[0]
    assert await store.serving(first.revision) is None
    await store.promote(names[1], Stage.CHALLENGER, "op", "", AT, toys.audited)
    await store.promote(names[2], Stage.SHADOW, "op", "", AT, toys.audited)
    second = await store.serving(first.revision)
    assert second is not None
    ours = [one.version for one in second.versions if one.version in names]
    assert ours == names
    await store.set_override(tenant, names[1], "op", "", AT, toys.entry("o"))
    third = await store.serving(second.revision)
    assert third is not None
    assert [one.overrides for one in third.versions if one.version == names[1]] == [1]
    assert await store.remove_override(tenant, toys.entry("o"))
    assert await store.serving(third.revision) is not None


async def test_a_tenant_s_own_model(store: ModelRegistry, names: list[str], toys: Any, tenant: TenantId) -> None:
    a, b, c = names
    other = TenantId(f"{tenant}-other")
    assert await store.override(tenant) is None
    with pytest.raises(Conflict, match="candidate"):
        await store.set_override(tenant, b, "op", "", AT, toys.entry("o"))
    with pytest.raises(NotFound):
        await store.set_override(tenant, "nobody", "op", "", AT, toys.entry("o"))
    await store.promote(b, Stage.CHALLENGER, "op", "", AT, toys.audited)
    made = await store.set_override(tenant, b, "op", "tickets", AT, toys.entry("o"))
    assert await store.override(tenant) == made
    assert await store.override(other) is None, "a tenant's is nobody else's"
    assert await store.overrides([other, tenant]) == {tenant: b}
    found = await store.version(b)
    assert found is not None
    assert (found.overrides, found.first_served_at) == (1, AT)
    with pytest.raises(Conflict, match="1 tenants"):
        await store.promote(b, Stage.RETIRED, "op", "", AT, toys.audited)
    for version in (a, a, b, a):
        await store.set_override(tenant, version, "op", "", AT, toys.entry("o"))
    counts = [await store.version(name) for name in (a, b)]
    assert [one.overrides for one in counts if one is not None] == [1, 0]
    await store.promote(c, Stage.CHAMPION, "op", "", AT, toys.audited)
    assert await stages(store, names) == ["challenger", "challenger", "champion"], "it keeps what it was given"
    assert await store.remove_override(tenant, toys.entry("o"))
    assert not await store.remove_override(tenant, toys.entry("o"))
    await store.promote(b, Stage.RETIRED, "op", "", AT, toys.audited)


async def test_two_promotions_at_once_leave_one_champion(store: ModelRegistry, names: list[str], toys: Any) -> None:
    _, b, c = names
    await asyncio.gather(
        *(store.promote(version, Stage.CHAMPION, "op", "", AT, toys.audited) for version in (b, c)),
        return_exceptions=True,
    )
    assert sorted(await stages(store, names)) == ["champion", "retired", "retired"]
    assert await store.previous() in (b, c)


@pytest.mark.integration
async def test_moves_and_their_audit_entries_are_one(
    pool: asyncpg.Pool, with_champion_restored: None, toys: Any, tenant: TenantId
) -> None:
    store = PostgresModels(pool, lambda: None)
    name = f"contract-{uuid.uuid4().hex[:10]}"
    # The running service relays the same outbox: look inside a transaction that holds its lock.
    async with pool.acquire(timeout=5) as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext('outbox:fraud'))")
        await store.register(toys.card(name), name, toys.hashes(name), "op", AT, toys.audited)
        await store.promote(name, Stage.CHALLENGER, "op", "", AT, toys.audited)
        await store.set_override(tenant, name, "op", "", AT, toys.entry(f"given {name}"))
        rows = await connection.fetch("SELECT topic, value FROM fraud.outbox ORDER BY id DESC LIMIT 20")
    refs = [msgspec.json.decode(row["value"])["object_ref"] for row in rows if row["topic"] == AUDIT]
    assert [ref for ref in refs if name in ref] == [f"given {name}", f"{name}:challenger"]

    def fails(moves: Any) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await store.promote(name, Stage.CHAMPION, "op", "", AT, fails)
    assert await stages(store, [name]) == ["challenger"]


@pytest.mark.integration
@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("UPDATE fraud.model SET card = '{}' WHERE version = $1", asyncpg.RaiseError),
        ("UPDATE fraud.model SET files = '{}' WHERE version = $1", asyncpg.RaiseError),
        ("UPDATE fraud.model SET features = '{}' WHERE version = $1", asyncpg.RaiseError),
        ("DELETE FROM fraud.model WHERE version = $1", asyncpg.InsufficientPrivilegeError),
        ("UPDATE fraud.model_change SET note = 'x' WHERE version = $1", asyncpg.InsufficientPrivilegeError),
        ("DELETE FROM fraud.model_change WHERE version = $1", asyncpg.InsufficientPrivilegeError),
    ],
)
async def test_what_a_version_is_never_changes(
    pool: asyncpg.Pool, toys: Any, with_champion_restored: None, statement: str, error: type[Exception]
) -> None:
    store = PostgresModels(pool, lambda: None)
    name = f"contract-{uuid.uuid4().hex[:10]}"
    await store.register(toys.card(name), name, toys.hashes(name), "op", AT, toys.audited)
    with pytest.raises(error):
        await pool.execute(statement, name)


@pytest.mark.integration
async def test_no_tenant_reads_another_s_override(
    pool: asyncpg.Pool, toys: Any, with_champion_restored: None, tenant: TenantId
) -> None:
    store = PostgresModels(pool, lambda: None)
    name = f"contract-{uuid.uuid4().hex[:10]}"
    await store.register(toys.card(name), name, toys.hashes(name), "op", AT, toys.audited)
    await store.promote(name, Stage.CHALLENGER, "op", "", AT, toys.audited)
    await store.set_override(tenant, name, "op", "", AT, toys.entry("o"))
    async with tenant_transaction(pool, TenantId(f"{tenant}-other")) as connection:
        assert await connection.fetchval("SELECT count(*) FROM fraud.model_override WHERE tenant_id = $1", tenant) == 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(
                "INSERT INTO fraud.model_override (tenant_id, version, set_at, set_by, note) VALUES ($1, $2, now(), 'x', '')",
                f"{tenant}-third",
                name,
            )


async def test_a_gate_is_kept_with_its_move_and_holds_for_the_champion_that_it_was_held_against(
    store: ModelRegistry, names: list[str], toys: Any
) -> None:
    champion, version, _ = names
    checks = (Check("auc_low", None, 0.1 + 0.2, False), Check("backtest_frauds", 3.0, 2.0, True))
    record = GateRecord(champion=champion, checks=checks, backtest=7, override="why ü", overridden_by="op")
    other = msgspec.structs.replace(record, champion="another")
    with pytest.raises(Conflict, match="by now"):
        await store.promote(version, Stage.CHALLENGER, "op", "", AT, toys.audited, other)
    await store.promote(version, Stage.CHALLENGER, "op", "", AT, toys.audited, record)
    await store.promote(version, Stage.RETIRED, "op", "", AT, toys.audited)
    last, first = await store.changes(version, 2)
    assert last.gate is None
    assert first.gate is not None
    assert msgspec.convert(first.gate, GateRecord) == record
