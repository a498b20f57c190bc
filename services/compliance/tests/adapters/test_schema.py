"""The schema as it is in the catalogue: no table can hold a tenant's rows without row level security."""

from collections.abc import Callable
from typing import Any

import asyncpg
import pytest
from weir_compliance.adapters.export_key import ExportKeyRing
from weir_compliance.adapters.postgres_requests import PostgresSubjectRequests
from weir_compliance.domain.subject import Subject
from weir_compliance.domain.subject_request import Particulars

pytestmark = pytest.mark.integration


async def test_every_table_has_forced_row_level_security_or_says_why_it_holds_no_tenant(pool: asyncpg.Pool) -> None:
    rows = await pool.fetch(
        """
        SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity AS forced, obj_description(c.oid) AS comment,
            EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid) AS policed,
            EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id') AS tenant
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'compliance' AND c.relkind IN ('r', 'p')
        """
    )
    tables = {row["relname"]: row for row in rows}
    assert {"subject_request", "store_task", "audit_entry", "audit_payload", "audit_head"} <= tables.keys()
    for name, row in tables.items():
        if row["tenant"]:
            assert row["forced"], f"{name} is not forced"
            assert row["policed"], f"{name} has no policy"
        else:
            assert (row["comment"] or "").startswith("no tenant data"), name


async def test_a_key_never_leaks_another_tenants_row_by_its_duplicate(pool: asyncpg.Pool) -> None:
    rows = await pool.fetch(
        """
        SELECT i.indrelid::regclass::text AS table, i.indexrelid::regclass::text AS index,
            (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = i.indkey[0]) AS first
        FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'compliance' AND i.indisunique
            AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id')
        """
    )
    assert rows
    assert {row["first"] for row in rows} == {"tenant_id"}, rows


async def test_nothing_that_identifies_a_person_is_stored_in_clear(
    pool: asyncpg.Pool,
    owner: asyncpg.Connection,
    keys: ExportKeyRing,
    new_request: Callable[..., Any],
    audit_entry: Any,
) -> None:
    planted = ["planted-user-5d", "planted-cookie-5d", "planted-ticket-5d", "planted-reason-5d"]
    request = new_request(particulars=Particulars(Subject((planted[0],), (planted[1],)), planted[2], planted[3]))
    await PostgresSubjectRequests(pool, keys, "queue", lambda: None).receive(request, audit_entry())
    found = 0
    tables = await pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'compliance'")
    async with owner.transaction():
        await owner.execute("SELECT set_config('weir.tenant_id', $1, true)", request.tenant_id)
        for table in tables:
            # Every column as bytes and as text, of every row that this tenant may see.
            text = await owner.fetchval(f'SELECT string_agg(t::text, chr(10)) FROM compliance."{table[0]}" t') or ""
            found += request.tenant_id in text
            for value in planted:
                assert value not in text, table[0]
                assert value.encode().hex() not in text, table[0]
    assert found >= 3, "the hunt must see the request, its start and its audit entry"
