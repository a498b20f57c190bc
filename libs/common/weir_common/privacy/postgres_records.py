"""The vault's records in PostgreSQL, schema ``vault``: row level security shows one tenant's rows at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from weir_common.ids import SubjectId, TenantId
from weir_common.postgres import Connection, tenant_transaction
from weir_common.privacy.errors import VaultUnavailable
from weir_common.privacy.ports import SubjectRecord, WrappedTenantKey

SCHEMA: Final = "vault"
PACKAGE: Final = "weir_common.privacy"
"""`migrate(owner_dsn, SCHEMA, PACKAGE, consumes=False)` brings the schema up to date."""

_AWAY: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    OSError,
    TimeoutError,
)
_ACQUIRE_SECONDS: Final = 5.0


@asynccontextmanager
async def _answering() -> AsyncIterator[None]:
    try:
        yield
    except _AWAY as error:
        raise VaultUnavailable(f"PostgreSQL did not answer: {type(error).__name__}") from error


class PostgresKeks:
    """See `KekRecords`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def keks(self, tenant_id: TenantId) -> Mapping[int, bytes]:
        async with _answering(), tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            rows = await connection.fetch(
                "SELECT epoch, wrapped_key FROM vault.tenant_kek WHERE tenant_id = $1", tenant_id
            )
        return {row["epoch"]: row["wrapped_key"] for row in rows}

    async def add_kek(self, tenant_id: TenantId, epoch: int, wrapped: bytes) -> bytes:
        async with _answering(), tenant_transaction(self._pool, tenant_id) as connection:
            await connection.execute(
                "INSERT INTO vault.tenant_kek (tenant_id, epoch, wrapped_key) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                tenant_id,
                epoch,
                wrapped,
            )
            first: bytes | None = await connection.fetchval(
                "SELECT wrapped_key FROM vault.tenant_kek WHERE tenant_id = $1 AND epoch = $2", tenant_id, epoch
            )
        if first is None:
            raise VaultUnavailable("a tenant's key was destroyed while it was made")
        return first

    async def destroy_kek(self, tenant_id: TenantId, epoch: int) -> bool:
        async with _answering(), tenant_transaction(self._pool, tenant_id) as connection:
            done = await connection.execute(
                "DELETE FROM vault.tenant_kek WHERE tenant_id = $1 AND epoch = $2", tenant_id, epoch
            )
        return _count(done) > 0


class PostgresRecords:
    """See `VaultRecords`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def add_subjects(self, tenant_id: TenantId, drafts: Sequence[SubjectRecord]) -> Sequence[SubjectRecord]:
        epochs = {draft.epoch for draft in drafts}
        if len(epochs) != 1:
            raise ValueError(f"subjects are added in one epoch, not in {len(epochs)}")
        async with _answering(), self._pool.acquire(timeout=_ACQUIRE_SECONDS) as connection:
            rows = await connection.fetch(
                "SELECT blind_index, subject_id, epoch, wrapped_key FROM vault.add_subjects($1, $2, $3, $4, $5)",
                tenant_id,
                [draft.blind_index for draft in drafts],
                [draft.subject_id for draft in drafts],
                epochs.pop(),
                [draft.wrapped_key for draft in drafts],
            )
        return [_subject(row) for row in rows]

    async def subjects(self, tenant_id: TenantId, blind_indexes: Sequence[bytes]) -> Sequence[SubjectRecord]:
        async with _answering(), tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            rows = await connection.fetch(
                # One look-up by key for each: see migration 0002.
                "SELECT found.* FROM unnest($2::bytea[]) AS asked (blind_index) CROSS JOIN LATERAL ("
                "SELECT blind_index, subject_id, epoch, wrapped_key FROM vault.subject AS s "
                "WHERE s.tenant_id = $1 AND s.blind_index = asked.blind_index LIMIT 1) AS found",
                tenant_id,
                list(blind_indexes),
            )
        return [_subject(row) for row in rows]

    async def subject(self, tenant_id: TenantId, subject_id: SubjectId) -> SubjectRecord | None:
        async with _answering(), tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            row = await connection.fetchrow(
                # By the expression of `subject_by_id`: see migration 0004.
                "SELECT blind_index, subject_id, epoch, wrapped_key FROM vault.subject "
                "WHERE tenant_id || '' = $1 AND subject_id = $2",
                tenant_id,
                subject_id,
            )
        return None if row is None else _subject(row)

    async def erase(self, tenant_id: TenantId, subject_id: SubjectId) -> bool:
        async with _answering(), tenant_transaction(self._pool, tenant_id) as connection:
            done = await connection.execute(
                "DELETE FROM vault.subject WHERE tenant_id || '' = $1 AND subject_id = $2", tenant_id, subject_id
            )
            if _count(done) == 0:
                return False
            await connection.execute(
                "INSERT INTO vault.erasure_mark AS mark (tenant_id, number) VALUES ($1, 1) "
                "ON CONFLICT (tenant_id) DO UPDATE SET number = mark.number + 1",
                tenant_id,
            )
        return True

    async def erasure_mark(self, tenant_id: TenantId) -> int:
        async with _answering(), self._pool.acquire(timeout=_ACQUIRE_SECONDS) as connection:
            number: int = await connection.fetchval("SELECT vault.current_erasure_mark($1)", tenant_id)
        return number

    async def add_tenant_keys(
        self, tenant_id: TenantId, drafts: Sequence[WrappedTenantKey]
    ) -> Sequence[WrappedTenantKey]:
        async with _answering(), tenant_transaction(self._pool, tenant_id) as connection:
            await connection.executemany(
                "INSERT INTO vault.tenant_key (tenant_id, purpose, period, epoch, wrapped_key) VALUES ($1, $2, $3, $4, $5) "
                "ON CONFLICT DO NOTHING",
                [
                    (tenant_id, draft.purpose, draft.period, draft.epoch, draft.wrapped_key)
                    for draft in sorted(drafts, key=lambda draft: (draft.purpose, draft.period))
                ],
            )
            rows = await connection.fetch(
                "SELECT found.* FROM unnest($2::text[], $3::integer[]) AS asked (purpose, period) CROSS JOIN LATERAL ("
                "SELECT k.purpose, k.period, k.epoch, k.wrapped_key FROM vault.tenant_key AS k "
                "WHERE k.tenant_id = $1 AND k.purpose = asked.purpose AND k.period = asked.period LIMIT 1) AS found",
                tenant_id,
                [draft.purpose for draft in drafts],
                [draft.period for draft in drafts],
            )
        return [_tenant_key(row) for row in rows]

    async def tenant_keys(self, tenant_id: TenantId, period: int) -> Sequence[WrappedTenantKey]:
        async with _answering(), tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            rows = await connection.fetch(
                "SELECT purpose, period, epoch, wrapped_key FROM vault.tenant_key WHERE tenant_id = $1 AND period = $2",
                tenant_id,
                period,
            )
        return [_tenant_key(row) for row in rows]

    async def destroy_tenant_keys(self, tenant_id: TenantId, purpose: str, before_period: int) -> int:
        async with _answering(), tenant_transaction(self._pool, tenant_id) as connection:
            done = await connection.execute(
                "DELETE FROM vault.tenant_key WHERE tenant_id = $1 AND purpose = $2 AND period < $3",
                tenant_id,
                purpose,
                before_period,
            )
        return _count(done)

    async def rewrap(
        self, tenant_id: TenantId, before_epoch: int, limit: int, rewrapped: Callable[[int, bytes], tuple[int, bytes]]
    ) -> int:
        async with _answering(), tenant_transaction(self._pool, tenant_id) as connection:
            keys = await _rewrap_keys(connection, tenant_id, before_epoch, limit, rewrapped)
            subjects = await _rewrap_subjects(connection, tenant_id, before_epoch, limit - keys, rewrapped)
        return keys + subjects

    async def uses_epoch(self, tenant_id: TenantId, epoch: int) -> bool:
        async with _answering(), tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            return bool(
                await connection.fetchval(
                    "SELECT EXISTS (SELECT 1 FROM vault.subject WHERE tenant_id || '' = $1 AND epoch = $2) "
                    "OR EXISTS (SELECT 1 FROM vault.tenant_key WHERE tenant_id = $1 AND epoch = $2)",
                    tenant_id,
                    epoch,
                )
            )


async def _rewrap_keys(
    connection: Connection,
    tenant_id: TenantId,
    before_epoch: int,
    limit: int,
    rewrapped: Callable[[int, bytes], tuple[int, bytes]],
) -> int:
    rows = await connection.fetch(
        "SELECT purpose, period, epoch, wrapped_key FROM vault.tenant_key WHERE tenant_id = $1 AND epoch < $2 "
        "LIMIT $3 FOR UPDATE SKIP LOCKED",
        tenant_id,
        before_epoch,
        limit,
    )
    if rows:
        await connection.executemany(
            "UPDATE vault.tenant_key SET epoch = $4, wrapped_key = $5 WHERE tenant_id = $1 AND purpose = $2 AND period = $3",
            [(tenant_id, row["purpose"], row["period"], *rewrapped(row["epoch"], row["wrapped_key"])) for row in rows],
        )
    return len(rows)


async def _rewrap_subjects(
    connection: Connection,
    tenant_id: TenantId,
    before_epoch: int,
    limit: int,
    rewrapped: Callable[[int, bytes], tuple[int, bytes]],
) -> int:
    rows = await connection.fetch(
        # By the expression of `subject_by_epoch`: see migration 0004.
        "SELECT blind_index, epoch, wrapped_key FROM vault.subject WHERE tenant_id || '' = $1 AND epoch < $2 "
        "LIMIT $3 FOR UPDATE SKIP LOCKED",
        tenant_id,
        before_epoch,
        limit,
    )
    if rows:
        # One by one: joined with a list, the planner may read all subjects of the tenant for each batch.
        await connection.executemany(
            "UPDATE vault.subject SET epoch = $3, wrapped_key = $4 WHERE tenant_id = $1 AND blind_index = $2",
            [(tenant_id, row["blind_index"], *rewrapped(row["epoch"], row["wrapped_key"])) for row in rows],
        )
    return len(rows)


def _subject(row: asyncpg.Record) -> SubjectRecord:
    return SubjectRecord(row["blind_index"], SubjectId(row["subject_id"]), row["epoch"], row["wrapped_key"])


def _tenant_key(row: asyncpg.Record) -> WrappedTenantKey:
    return WrappedTenantKey(row["purpose"], row["period"], row["epoch"], row["wrapped_key"])


def _count(status: str) -> int:
    """``DELETE 3`` → 3."""
    return int(status.rpartition(" ")[2])
