"""Rules on the real PostgreSQL, by one instance and by two whose caches are old at every turn: the findings are the same."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import msgspec
import pytest
from weir_anomaly import generators
from weir_anomaly.adapters.postgres_case_files import SCHEMA, PostgresCaseFiles, PostgresFindings, StateRows
from weir_anomaly.adapters.state_cache import StateCache
from weir_anomaly.apply_rules import ApplyRules
from weir_anomaly.domain.clock import TenantClock
from weir_anomaly.domain.engine import CLOCK, Engine, Held, StateKey
from weir_anomaly.domain.entity import entity
from weir_anomaly.domain.registry import all_rules
from weir_anomaly.domain.severity import Severity
from weir_anomaly.errors import StateConflict
from weir_anomaly.generators import Episode
from weir_anomaly.settings import AnomalySettings
from weir_common.ids import EventId, TenantId
from weir_common.kafka.consumer import Transaction
from weir_common.kafka.records import ACCEPTED_AT_HEADER, Record, event_headers
from weir_common.kafka.topics import EVENTS
from weir_common.migrations import migrate
from weir_common.postgres import postgres_pool
from weir_local.addresses import environment_of
from weir_local.mesh import Mesh, default_cache_directory, default_state_directory

pytestmark = pytest.mark.integration

START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
RULES = tuple(all_rules())
Generator = Callable[[str, str, datetime], Episode]


@pytest.fixture
async def pool() -> AsyncIterator[asyncpg.Pool]:
    """The application role on the mesh's PostgreSQL, schema up to date."""
    mesh = Mesh.at(default_state_directory(os.environ, Path(__file__).parent), default_cache_directory(os.environ))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment_of(mesh, "anomaly").items():
            patch.setenv(name, value)
        settings = AnomalySettings()
    await migrate(settings.postgres.owner_dsn.get_secret_value(), SCHEMA, "weir_anomaly")
    async with postgres_pool(settings.postgres, "anomaly-test") as made:
        yield made


@pytest.fixture
def tenant() -> TenantId:
    return TenantId(f"test-anomaly-{uuid.uuid4().hex[:12]}")


class Instance:
    """One process's rules with a cache of its own; like the consumer framework, it tries a batch again after a conflict."""

    def __init__(self, pool: asyncpg.Pool, entries: int = 1_000) -> None:
        rows, cache = StateRows(RULES), StateCache(entries)
        self._pool = pool
        self._rules = ApplyRules(
            Engine(RULES), lambda transaction, tenant: PostgresCaseFiles(transaction, tenant, rows, cache)
        )
        self.conflicts = 0

    async def apply(self, batch: Sequence[Record]) -> None:
        for _ in range(5):
            try:
                async with self._pool.acquire() as connection:
                    async with connection.transaction():
                        transaction = Transaction(connection)
                        await self._rules.apply(batch, transaction)
                    for call in transaction._after_commit:
                        call()
                return
            except StateConflict:
                self.conflicts += 1
        raise AssertionError("five conflicts over one batch")


def batches_of(episode: Episode, tenant: TenantId, size: int = 7) -> list[list[Record]]:
    records = []
    for offset, event in enumerate(episode.events):
        event_id = EventId(event["event_metadata"]["event_id"])
        records.append(
            Record(
                topic=EVENTS,
                partition=0,
                offset=offset,
                timestamp_ms=0,
                key=b"",
                value=msgspec.json.encode({**event, "tenant_id": tenant}),
                headers=event_headers(
                    tenant,
                    event_id,
                    **{ACCEPTED_AT_HEADER: datetime.fromtimestamp(START.timestamp() + 1e6, UTC).isoformat()},
                ),
            )
        )
    return [records[index : index + size] for index in range(0, len(records), size)]


async def findings(pool: asyncpg.Pool, tenant: TenantId) -> list[tuple[object, ...]]:
    page = await PostgresFindings(pool).page(
        tenant, states=("open", "closed"), severities=tuple(Severity), rules=(), after=None, limit=100
    )
    return sorted((one.rule, one.entity, str(one.severity), one.event_count) for one in page)


@pytest.mark.parametrize(
    "make",
    [
        generators.card_testing,
        generators.geo_impossible,
        generators.bot,
        generators.price_manipulation,
        generators.data_quality,
    ],
)
async def test_two_instances_find_what_one_finds(pool: asyncpg.Pool, tenant: TenantId, make: Generator) -> None:
    alone = TenantId(f"{tenant}-alone")
    single = Instance(pool)
    for batch in batches_of(make("a", alone, START), alone):
        await single.apply(batch)
    pair = (Instance(pool), Instance(pool))
    batches = batches_of(make("a", tenant, START), tenant)
    for turn, batch in enumerate(batches):
        await pair[turn % 2].apply(batch)
    assert await findings(pool, tenant) == await findings(pool, alone)
    assert single.conflicts == 0
    if len(batches) > 2:
        assert pair[0].conflicts + pair[1].conflicts > 0  # the caches were old indeed


async def test_a_cache_too_small_changes_nothing(pool: asyncpg.Pool, tenant: TenantId) -> None:
    alone = TenantId(f"{tenant}-alone")
    for name, entries in ((tenant, 1), (alone, 1_000)):
        instance = Instance(pool, entries)
        for batch in batches_of(generators.card_testing("a", name, START), name):
            await instance.apply(batch)
    assert await findings(pool, tenant) == await findings(pool, alone)


async def test_of_two_that_make_the_same_state_at_once_one_is_told(pool: asyncpg.Pool, tenant: TenantId) -> None:
    rows = StateRows(RULES)
    key = StateKey(CLOCK, entity("tenant", "p0"))
    gate = asyncio.Barrier(2)

    async def save(watermark: float) -> float | None:
        async with pool.acquire() as connection, connection.transaction():
            transaction = Transaction(connection)
            await transaction.as_tenant(tenant)
            files = PostgresCaseFiles(transaction, tenant, rows, StateCache(10))
            assert await files.states([key]) == {}
            await gate.wait()
            await files.save_states({key: Held(TenantClock().advance(watermark, watermark), watermark)})
        return watermark

    results = await asyncio.gather(save(1e9), save(2e9), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["StateConflict", "float"]
    (kept,) = (result for result in results if isinstance(result, float))
    async with pool.acquire() as connection, connection.transaction():
        transaction = Transaction(connection)
        await transaction.as_tenant(tenant)
        stored = await PostgresCaseFiles(transaction, tenant, rows, StateCache(10)).states([key])
    assert (stored[key].updated_at, stored[key].version) == (kept, 1)


async def test_states_are_read_one_by_one_however_many_the_tenant_has(pool: asyncpg.Pool, tenant: TenantId) -> None:
    """On one connection from the first state on: a plan that was made for an empty table stays for a while."""
    rows, asked = StateRows(RULES), 20
    async with pool.acquire() as connection:
        for turn in range(40):
            keys = [StateKey(CLOCK, entity("tenant", f"{turn}-{number}")) for number in range(asked)]
            async with connection.transaction():
                transaction = Transaction(connection)
                await transaction.as_tenant(tenant)
                files = PostgresCaseFiles(transaction, tenant, rows, StateCache(10))
                assert await files.states(keys) == {}
                await files.save_states({key: Held(TenantClock().advance(1e9, 1e9), 1e9) for key in keys})
        async with connection.transaction():
            transaction = Transaction(connection)
            await transaction.as_tenant(tenant)
            assert len(await PostgresCaseFiles(transaction, tenant, rows, StateCache(10)).states(keys)) == asked
            read = await connection.fetchval(
                "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relid = 'anomaly.rule_state'::regclass"
            )
    assert read == asked
