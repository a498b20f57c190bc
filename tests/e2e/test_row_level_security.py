"""Row level security is forced on every tenant table, and the application roles are bound by it."""

from __future__ import annotations

import asyncpg
import pytest

pytestmark = pytest.mark.e2e

SCHEMAS = ["ingest", "fraud", "anomaly", "analytics", "compliance", "tenant_admin", "vault"]


async def test_every_table_with_a_tenant_has_forced_row_level_security(superuser: asyncpg.Connection) -> None:
    rows = await superuser.fetch(
        "SELECT n.nspname || '.' || c.relname AS name, c.relrowsecurity AS enabled, c.relforcerowsecurity AS forced, "
        "EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid) AS has_policy "
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped "
        "WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname = ANY($1)",
        SCHEMAS,
    )
    assert len(rows) >= 8
    assert [row["name"] for row in rows if not (row["enabled"] and row["forced"] and row["has_policy"])] == []


async def test_every_other_table_says_why_it_has_no_tenant(superuser: asyncpg.Connection) -> None:
    rows = await superuser.fetch(
        "SELECT n.nspname || '.' || c.relname AS name, obj_description(c.oid) AS remark "
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname = ANY($1) AND NOT EXISTS "
        "(SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped)",
        SCHEMAS,
    )
    assert [row["name"] for row in rows if not (row["remark"] or "").startswith("no tenant data")] == []


async def test_the_planner_cannot_take_a_new_tenant_for_a_tiny_one(superuser: asyncpg.Connection) -> None:
    """Where several indexes lead with the tenant, a tenant that is not in the statistics makes them all look as good as the key."""
    rows = await superuser.fetch(
        "SELECT n.nspname || '.' || c.relname AS name, a.attstattarget AS target, count(*) AS indexes, "
        "EXISTS (SELECT FROM pg_statistic s WHERE s.starelid = c.oid AND s.staattnum = a.attnum) AS has_statistics "
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' "
        "JOIN pg_index i ON i.indrelid = c.oid AND i.indkey[0] = a.attnum "
        "WHERE n.nspname = ANY($1) GROUP BY c.oid, n.nspname, c.relname, a.attnum, a.attstattarget HAVING count(*) > 1",
        SCHEMAS,
    )
    assert {"fraud.decision", "anomaly.finding"} <= {row["name"] for row in rows}
    assert [row["name"] for row in rows if row["target"] != 0 or row["has_statistics"]] == []


async def test_application_roles_neither_own_nor_bypass(superuser: asyncpg.Connection) -> None:
    rows = await superuser.fetch(
        "SELECT rolname, rolsuper, rolbypassrls, "
        "(SELECT count(*) FROM pg_class c WHERE c.relowner = r.oid) AS owned "
        "FROM pg_roles r WHERE rolname LIKE 'weir\\_%' AND rolname NOT LIKE '%\\_owner'"
    )
    assert len(rows) >= 6
    assert [row["rolname"] for row in rows if row["rolsuper"] or row["rolbypassrls"] or row["owned"]] == []
