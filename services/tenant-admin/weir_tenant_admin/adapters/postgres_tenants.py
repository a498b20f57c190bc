"""Tenants and keys in PostgreSQL, under row level security."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

import asyncpg
from weir_common.audit import PLATFORM
from weir_common.auth import Role
from weir_common.ids import TenantId
from weir_common.kafka.records import OutgoingRecord
from weir_common.outbox import add_to_outbox
from weir_common.postgres import Connection, tenant_transaction

from weir_tenant_admin.domain.tenant import Isolation, Status, Tier, Vertical
from weir_tenant_admin.ports import StoredKey, Tenant

SCHEMA = "tenant_admin"

_TENANT_COLUMNS = (
    "tenant_id, name, tier, vertical, isolation, status, quota_events_per_second, created_at, created_by, "
    "quota_bytes_per_second, quota_events_per_day"
)
_KEY_COLUMNS = (
    "tenant_id, key_id, client, key_hash, hint, roles, created_at, created_by, expires_at, revoked_at, last_used_at"
)


@asynccontextmanager
async def platform_read(pool: asyncpg.Pool, *, timeout: float = 5.0) -> AsyncIterator[Connection]:
    """A read-only transaction that sees the registry of every tenant; the policies name it ``weir.platform_read``."""
    async with pool.acquire(timeout=timeout) as connection, connection.transaction(readonly=True):
        await connection.execute("SELECT set_config('weir.platform_read', 'on', true)")
        yield connection


class PostgresTenantWriter:
    """One running transaction."""

    def __init__(self, connection: Connection, tenant_id: TenantId) -> None:
        self._connection = connection
        self._tenant_id = tenant_id

    async def add_tenant(self, tenant: Tenant) -> bool:
        status = await self._connection.execute(
            f"INSERT INTO tenant_admin.tenant ({_TENANT_COLUMNS}) "  # noqa: S608 - a constant
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (tenant_id) DO NOTHING",
            tenant.tenant_id,
            tenant.name,
            tenant.tier,
            tenant.vertical,
            tenant.isolation,
            tenant.status,
            tenant.quota_events_per_second,
            tenant.created_at,
            tenant.created_by,
            tenant.quota_bytes_per_second,
            tenant.quota_events_per_day,
        )
        return bool(status.endswith(" 1"))

    async def lock_client(self, client: str) -> None:
        await self._connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"keys:{self._tenant_id}:{client}"
        )

    async def keys_of(self, client: str) -> Sequence[StoredKey]:
        rows = await self._connection.fetch(
            f"SELECT {_KEY_COLUMNS} FROM tenant_admin.api_key WHERE tenant_id = $1 AND client = $2",  # noqa: S608 - a constant
            self._tenant_id,
            client,
        )
        return [_key(row) for row in rows]

    async def add_key(self, key: StoredKey) -> None:
        # weir-lint: allow W002 - _KEY_COLUMNS begins with tenant_id
        await self._connection.execute(
            f"INSERT INTO tenant_admin.api_key ({_KEY_COLUMNS}) "  # noqa: S608 - a constant
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            self._tenant_id,
            UUID(key.key_id),
            key.client,
            key.key_hash,
            key.hint,
            [str(role) for role in key.roles],
            key.created_at,
            key.created_by,
            key.expires_at,
            key.revoked_at,
            key.last_used_at,
        )

    async def revoke_key(self, key_id: str, at: datetime, by: str) -> StoredKey | None:
        row = await self._connection.fetchrow(
            "UPDATE tenant_admin.api_key SET revoked_at = COALESCE(revoked_at, $3), revoked_by = COALESCE(revoked_by, $4) "  # noqa: S608 - a constant
            f"WHERE tenant_id = $1 AND key_id = $2 RETURNING {_KEY_COLUMNS}",
            self._tenant_id,
            UUID(key_id),
            at,
            by,
        )
        return _key(row) if row is not None else None

    async def send(self, *records: OutgoingRecord) -> None:
        await add_to_outbox(self._connection, SCHEMA, records)


class PostgresTenantStore:
    """The registry."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def writing(self, tenant_id: TenantId | None) -> AsyncIterator[PostgresTenantWriter]:
        tenant = tenant_id or PLATFORM
        async with tenant_transaction(self._pool, tenant) as connection:
            yield PostgresTenantWriter(connection, tenant)

    async def tenant(self, tenant_id: TenantId) -> Tenant | None:
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            row = await connection.fetchrow(
                f"SELECT {_TENANT_COLUMNS} FROM tenant_admin.tenant WHERE tenant_id = $1",  # noqa: S608 - a constant
                tenant_id,
            )
        return _tenant(row) if row is not None else None

    async def tenants(self, *, after: str | None, limit: int, only: TenantId | None) -> Sequence[Tenant]:
        if only is not None:
            own = await self.tenant(only)
            return [own] if own is not None and (after is None or own.tenant_id > after) else []
        async with platform_read(self._pool) as connection:
            rows = await connection.fetch(
                f"SELECT {_TENANT_COLUMNS} FROM tenant_admin.tenant "  # noqa: S608 - a constant
                'WHERE tenant_id COLLATE "C" > $1 ORDER BY tenant_id COLLATE "C" LIMIT $2',
                after or "",
                limit,
            )
        return [_tenant(row) for row in rows]

    async def keys(self, tenant_id: TenantId) -> Sequence[StoredKey]:
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            rows = await connection.fetch(
                f"SELECT {_KEY_COLUMNS} FROM tenant_admin.api_key WHERE tenant_id = $1 ORDER BY key_id",  # noqa: S608 - a constant
                tenant_id,
            )
        return [_key(row) for row in rows]

    async def key_by_hash(self, key_hash: str) -> StoredKey | None:
        async with platform_read(self._pool) as connection:
            # weir-lint: allow W002 - whose key it is, is what is asked
            row = await connection.fetchrow(
                f"SELECT {_KEY_COLUMNS} FROM tenant_admin.api_key WHERE key_hash = $1",  # noqa: S608 - a constant
                key_hash,
            )
        return _key(row) if row is not None else None

    async def note_use(self, key: StoredKey, at: datetime) -> None:
        tenant = key.tenant_id or PLATFORM
        async with tenant_transaction(self._pool, tenant) as connection:
            await connection.execute(
                "UPDATE tenant_admin.api_key SET last_used_at = $3 WHERE tenant_id = $1 AND key_id = $2",
                tenant,
                UUID(key.key_id),
                at.replace(second=0, microsecond=0),
            )


def _tenant(row: asyncpg.Record) -> Tenant:
    return Tenant(
        tenant_id=TenantId(row["tenant_id"]),
        name=row["name"],
        tier=Tier(row["tier"]),
        vertical=Vertical(row["vertical"]),
        isolation=Isolation(row["isolation"]),
        status=Status(row["status"]),
        quota_events_per_second=row["quota_events_per_second"],
        quota_bytes_per_second=row["quota_bytes_per_second"],
        quota_events_per_day=row["quota_events_per_day"],
        created_at=row["created_at"],
        created_by=row["created_by"],
    )


def _key(row: asyncpg.Record) -> StoredKey:
    return StoredKey(
        tenant_id=None if row["tenant_id"] == PLATFORM else TenantId(row["tenant_id"]),
        key_id=str(row["key_id"]),
        client=row["client"],
        key_hash=row["key_hash"],
        hint=row["hint"],
        roles=tuple(Role(role) for role in row["roles"]),
        created_at=row["created_at"],
        created_by=row["created_by"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        last_used_at=row["last_used_at"],
    )
