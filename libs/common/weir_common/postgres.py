"""PostgreSQL: pools with deadlines, and transactions that carry their tenant.

Row level security reads ``weir.tenant_id``. It is set with ``set_config(…, is_local => true)`` inside a transaction and never on a
session, so that a pooled connection cannot carry one tenant into the next request. After a transaction the setting is
``''`` and not NULL; policies therefore compare with ``NULLIF(current_setting('weir.tenant_id', true), '')``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from weir_common.ids import TenantId
from weir_common.settings import PostgresSettings

Connection: TypeAlias = "asyncpg.Connection | PoolConnectionProxy"
"""A connection, straight or lent by a pool."""

_IDLE_SECONDS = 300.0
"""A connection that nobody asked for so long is closed."""


@asynccontextmanager
async def postgres_pool(
    settings: PostgresSettings, application: str, types: Sequence[str] = ()
) -> AsyncIterator[asyncpg.Pool]:
    """A pool of the application role. Every statement, every acquire and the close have a deadline.

    ``types``: composite types of the service, which each new connection looks up before it is lent. Left to the first statement that has
    one, it is tens of milliseconds of whoever waits for that.
    """
    timeout = settings.statement_timeout_seconds

    async def know_types(connection: Connection) -> None:
        if types:
            await connection.fetchrow(f"SELECT {', '.join(f'NULL::{name}, NULL::{name}[]' for name in types)}")

    pool = await asyncpg.create_pool(
        settings.dsn.get_secret_value(),
        min_size=settings.min_size,
        max_size=settings.max_size,
        timeout=settings.connect_timeout_seconds,
        command_timeout=timeout,
        # A pool that is to be whole from the start stays whole: after five quiet minutes the next caller would wait for new connections.
        max_inactive_connection_lifetime=0.0 if settings.min_size == settings.max_size else _IDLE_SECONDS,
        init=know_types,
        reset=_nothing_to_reset,
        server_settings={
            "application_name": application,
            "statement_timeout": str(int(timeout * 1000)),
            "idle_in_transaction_session_timeout": str(int(timeout * 2000)),
            "timezone": "UTC",
        },
    )
    try:
        yield pool
    finally:
        pool.terminate()


async def _nothing_to_reset(connection: Connection) -> None:
    """No code sets anything on a session (see above), so the round trip of a reset after each use is saved."""


async def as_tenant(connection: Connection, tenant_id: TenantId) -> None:
    """Switch the running transaction to one tenant; row level security shows and takes only its rows."""
    await connection.execute("SELECT set_config('weir.tenant_id', $1, true)", tenant_id)


@asynccontextmanager
async def tenant_transaction(
    pool: asyncpg.Pool, tenant_id: TenantId, *, readonly: bool = False, timeout: float = 5.0
) -> AsyncIterator[Connection]:
    """A transaction that sees only ``tenant_id``; commits on leaving, rolls back on an error."""
    async with pool.acquire(timeout=timeout) as connection, connection.transaction(readonly=readonly):
        await as_tenant(connection, tenant_id)
        yield connection
