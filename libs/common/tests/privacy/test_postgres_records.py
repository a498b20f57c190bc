"""What PostgreSQL itself holds the vault to."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr
from weir_common.ids import TenantId
from weir_common.migrations import migrate
from weir_common.postgres import tenant_transaction
from weir_common.privacy.bootstrap import open_vault
from weir_common.privacy.errors import KeyUnusable, VaultUnavailable
from weir_common.privacy.identifiers import user
from weir_common.privacy.postgres_records import PACKAGE, SCHEMA, PostgresRecords
from weir_common.privacy.settings import VaultSettings
from weir_common.settings import PostgresSettings

pytestmark = pytest.mark.integration
TABLES = ("tenant_kek", "tenant_key", "subject", "erasure_mark")


@pytest.fixture
def stores(servers: Any) -> Any:
    return servers


async def _fill(one: Any, tenant_id: TenantId) -> None:
    found = await one.vault.resolve(tenant_id, [user("ann"), user("bob")])
    await one.keys.link_tokens(tenant_id)
    await one.vault.erase(tenant_id, found[user("bob")].subject_id)


@pytest.mark.parametrize("table", TABLES)
async def test_row_level_security_shows_one_tenant_and_nobody_all(
    one: Any, pool: asyncpg.Pool, tenant_id: TenantId, table: str
) -> None:
    other = TenantId(tenant_id + "-other")
    await _fill(one, tenant_id)
    await _fill(one, other)
    counted = f"SELECT count(*), min(tenant_id), max(tenant_id) FROM vault.{table}"  # a name from above
    assert (await pool.fetchrow(counted))[0] == 0
    async with tenant_transaction(pool, tenant_id) as connection:
        count, first, last = await connection.fetchrow(counted)
        assert (count > 0, first, last) == (True, tenant_id, tenant_id)
        assert await connection.execute(f"DELETE FROM vault.{table} WHERE tenant_id = '{other}'") == "DELETE 0"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with tenant_transaction(pool, tenant_id) as connection:
            await connection.execute(f"UPDATE vault.{table} SET tenant_id = '{other}x'")


@pytest.mark.parametrize("table", TABLES)
async def test_security_binds_the_owner_too(postgres: PostgresSettings, pool: asyncpg.Pool, table: str) -> None:
    owner = await asyncpg.connect(postgres.owner_dsn.get_secret_value(), timeout=5, command_timeout=5)
    try:
        assert await owner.fetchval(f"SELECT count(*) FROM vault.{table}") == 0
        forced = "SELECT relforcerowsecurity FROM pg_class WHERE oid = $1::regclass"
        assert await owner.fetchval(forced, f"vault.{table}")
    finally:
        await owner.close(timeout=5)


async def test_adding_subjects_leaves_no_tenant_on_the_connection(
    one: Any, pool: asyncpg.Pool, tenant_id: TenantId
) -> None:
    await _fill(one, tenant_id)
    for _ in range(10):
        async with pool.acquire(timeout=5) as connection:
            assert (await connection.fetchval("SELECT current_setting('weir.tenant_id', true)")) in (None, "")


async def test_each_erasure_raises_the_tenants_own_mark(one: Any, pool: asyncpg.Pool, tenant_id: TenantId) -> None:
    records = PostgresRecords(pool)
    assert await records.erasure_mark(tenant_id) == 0
    await _fill(one, tenant_id)
    await _fill(one, tenant_id)
    assert await records.erasure_mark(tenant_id) == 2
    assert await records.erasure_mark(TenantId(tenant_id + "-other")) == 0


async def test_an_identifier_is_nowhere_in_the_vault(one: Any, pool: asyncpg.Pool, tenant_id: TenantId) -> None:
    await one.vault.resolve(tenant_id, [user("ann.lee@example.org")])
    async with tenant_transaction(pool, tenant_id) as connection:
        for table in TABLES:
            for row in await connection.fetch(f"SELECT * FROM vault.{table}"):
                assert b"ann.lee" not in b" ".join(v if isinstance(v, bytes) else str(v).encode() for v in row.values())


async def test_a_database_that_is_away_is_an_error_to_retry(postgres: PostgresSettings, tenant_id: TenantId) -> None:
    closed = await asyncpg.create_pool(
        postgres.dsn.get_secret_value(), min_size=0, max_size=1, timeout=5, command_timeout=5
    )
    closed.terminate()
    with pytest.raises(VaultUnavailable):
        await PostgresRecords(closed).erasure_mark(tenant_id)


async def test_migrating_twice_does_nothing(postgres: PostgresSettings, pool: asyncpg.Pool) -> None:
    assert await migrate(postgres.owner_dsn.get_secret_value(), SCHEMA, PACKAGE, consumes=False) == []
    tables = await pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'vault'")
    assert {row["tablename"] for row in tables} == {*TABLES, "schema_migration"}


async def test_a_vault_on_the_servers_opens_and_needs_its_root_key(
    postgres: PostgresSettings, tenant_id: TenantId, tmp_path: Path, instance: Callable[[], Any]
) -> None:
    root = tmp_path / "root.key"
    settings = VaultSettings(postgres=postgres, root_key_path=root)
    with pytest.raises(KeyUnusable):
        async with open_vault(settings, "vault-test"):
            raise AssertionError("opened without a root key")
    root.write_bytes(os.urandom(32))
    async with open_vault(settings, "vault-test") as opened:
        ann = (await opened.vault.resolve(tenant_id, [user("ann")]))[user("ann")]
        assert (await opened.rotate(tenant_id)).destroyed == ()
    async with open_vault(settings, "vault-test") as opened:
        assert (await opened.vault.find(tenant_id, [user("ann")]))[user("ann")].subject_id == ann.subject_id
    root.write_bytes(os.urandom(32))
    async with open_vault(settings, "vault-test") as opened:
        with pytest.raises(KeyUnusable):
            await opened.vault.find(tenant_id, [user("ann")])


@pytest.mark.parametrize("connects", ["early", "late"])
@pytest.mark.parametrize("analysed", ["never", "before it came", "while it grew"])
async def test_a_batch_reads_no_more_rows_than_it_asks_for(
    pool: asyncpg.Pool, postgres: PostgresSettings, tenant_id: TenantId, analysed: str, connects: str
) -> None:
    """Whatever the planner believes: it makes a plan while the table is empty and keeps it for a while; or, on a new connection or
    after an ANALYZE, one for a tenant of which it knows nothing, though that has thousands of customers by then."""
    connection = await _connected(postgres.dsn)
    owner = await _connected(postgres.owner_dsn)
    added = "SELECT count(*) FROM vault.add_subjects($1, $2, $3, $4, $5)"
    rows_read = (
        "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relid = 'vault.subject'::regclass"
    )
    asked = 40
    try:
        if analysed == "before it came":
            # There must be others, or the planner knows nothing of anybody.
            for number in range(20):
                await connection.fetchval(added, f"{tenant_id}-{number}", *_subjects(asked))
            await owner.execute("ANALYZE vault.subject")
        for number in range(60):
            columns = _subjects(asked)
            assert await connection.fetchval(added, tenant_id, *columns) == asked
            if analysed == "while it grew" and number == 5:
                await owner.execute("ANALYZE vault.subject")
        if connects == "late":
            await connection.close(timeout=5)
            connection = await _connected(postgres.dsn)
        async with connection.transaction():
            before = await connection.fetchval(rows_read)
            assert await connection.fetchval(added, tenant_id, *columns) == asked
            # Each is met twice: as a conflict, and by the look-up.
            assert asked <= await connection.fetchval(rows_read) - before <= 2 * asked
    finally:
        await connection.close(timeout=5)
        await owner.close(timeout=5)


async def _connected(dsn: SecretStr) -> asyncpg.Connection:
    return await asyncpg.connect(dsn.get_secret_value(), timeout=5, command_timeout=30)


def _subjects(count: int) -> tuple[list[bytes], list[str], int, list[bytes]]:
    indexes = [os.urandom(32) for _ in range(count)]
    return indexes, [index.hex() for index in indexes], 1, [os.urandom(40) for _ in indexes]
