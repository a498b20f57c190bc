"""Shares of declines and their halts in PostgreSQL; a halt, its lifting and their audit entries, by the outbox, each in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Final

import asyncpg
from weir_common.audit import AuditEntry, audit_record
from weir_common.ids import TenantId
from weir_common.outbox import add_to_outbox
from weir_common.postgres import tenant_transaction
from weir_common.problems import Conflict

from weir_fraud.adapters.postgres_decisions import SCHEMA
from weir_fraud.adapters.postgres_faults import asked
from weir_fraud.domain.decline_corridor import Counted, DeclineCorridor, Halt

_COLUMNS: Final = "tenant_id, halted_at, decisions, declines, window_minutes, least_decisions, ceiling, floor, policy_version, lifted_at, lifted_by, note"
_NOT_HALTED: Final = "That halt is not in force."


class PostgresDeclines:
    """See `DeclineStore`."""

    def __init__(self, pool: asyncpg.Pool, wake_outbox: Callable[[], None]) -> None:
        self._pool = pool
        self._wake_outbox = wake_outbox

    async def add(
        self, counted: Mapping[tuple[TenantId, datetime], Counted], windows: Mapping[TenantId, int], at: datetime
    ) -> Mapping[TenantId, Counted]:
        rows = [(tenant_id, minute, more.decisions, more.declines) for (tenant_id, minute), more in counted.items()]
        with asked():
            async with self._pool.acquire(timeout=5) as connection:
                sums = await connection.fetch(
                    "SELECT tenant_id, decisions, declines FROM fraud.add_decline_tallies($1, $2, $3, $4)",
                    rows,
                    list(windows),
                    list(windows.values()),
                    at,
                )
        return {TenantId(row["tenant_id"]): Counted(row["decisions"], row["declines"]) for row in sums}

    async def counted(self, tenant_id: TenantId, window_minutes: int, at: datetime) -> Counted:
        with asked():
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                (row,) = await connection.fetch(
                    "SELECT coalesce(sum(decisions), 0)::bigint AS decisions, coalesce(sum(declines), 0)::bigint AS declines "
                    "FROM fraud.decline_tally WHERE tenant_id = $1 AND minute <= $3 "
                    "AND minute > date_trunc('minute', $3::timestamptz) - $2::integer * interval '1 minute'",
                    tenant_id,
                    window_minutes,
                    at,
                )
        return Counted(row["decisions"], row["declines"])

    async def halt(self, halt: Halt, audit: AuditEntry) -> bool:
        with asked():
            async with tenant_transaction(self._pool, halt.tenant_id) as connection:
                # What was lifted since it was counted was counted before: another halt needs new figures.
                made = await connection.fetchval(
                    "INSERT INTO fraud.decline_halt (tenant_id, halted_at, decisions, declines, window_minutes, least_decisions, "
                    "ceiling, floor, policy_version) SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9 WHERE NOT EXISTS "
                    "(SELECT FROM fraud.decline_halt WHERE tenant_id = $1 AND (lifted_at IS NULL OR lifted_at >= $2)) "
                    "ON CONFLICT (tenant_id) WHERE lifted_at IS NULL DO NOTHING RETURNING true",
                    halt.tenant_id,
                    halt.halted_at,
                    halt.decisions,
                    halt.declines,
                    halt.corridor.window_minutes,
                    halt.corridor.least_decisions,
                    halt.corridor.ceiling,
                    halt.corridor.floor,
                    halt.policy_version,
                )
                if not made:
                    return False
                await connection.execute(
                    "UPDATE fraud.decline_halt_revision SET revision = revision + 1, halted = halted + 1"
                )
                await add_to_outbox(connection, SCHEMA, [audit_record(audit)])
        self._wake_outbox()
        return True

    async def lift(
        self, tenant_id: TenantId, halted_at: datetime, by: str, note: str, at: datetime, audit: AuditEntry
    ) -> Halt:
        with asked():
            async with tenant_transaction(self._pool, tenant_id) as connection:
                row = await connection.fetchrow(
                    "UPDATE fraud.decline_halt SET lifted_at = $3, lifted_by = $4, note = $5 "  # noqa: S608 - constants
                    f"WHERE tenant_id = $1 AND halted_at = $2 AND lifted_at IS NULL RETURNING {_COLUMNS}",
                    tenant_id,
                    halted_at,
                    at,
                    by,
                    note,
                )
                if row is None:
                    raise Conflict(_NOT_HALTED, slug="not-halted")
                # Else the next look would halt it again by what has been seen and judged.
                await connection.execute("DELETE FROM fraud.decline_tally WHERE tenant_id = $1", tenant_id)
                await connection.execute(
                    "UPDATE fraud.decline_halt_revision SET revision = revision + 1, halted = halted - 1"
                )
                await add_to_outbox(connection, SCHEMA, [audit_record(audit)])
        self._wake_outbox()
        return _halt(row)

    async def in_force(self, tenant_id: TenantId) -> Halt | None:
        with asked():
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                row = await connection.fetchrow(
                    f"SELECT {_COLUMNS} FROM fraud.decline_halt WHERE tenant_id = $1 AND lifted_at IS NULL",  # noqa: S608 - constants
                    tenant_id,
                )
        return None if row is None else _halt(row)

    async def halts(self, tenant_id: TenantId, before: datetime | None, limit: int) -> list[Halt]:
        with asked():
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                rows = await connection.fetch(
                    f"SELECT {_COLUMNS} FROM fraud.decline_halt WHERE tenant_id = $1 AND halted_at < $2 "  # noqa: S608 - constants
                    "ORDER BY halted_at DESC LIMIT $3",
                    tenant_id,
                    before or datetime.max.replace(tzinfo=UTC),
                    limit,
                )
        return [_halt(row) for row in rows]

    async def revision(self) -> tuple[int, int]:
        with asked():
            async with self._pool.acquire(timeout=5) as connection:
                (row,) = await connection.fetch("SELECT revision, halted FROM fraud.decline_halt_revision")
        return row["revision"], row["halted"]

    async def halted(self, tenants: Collection[TenantId]) -> Collection[TenantId]:
        with asked():
            async with self._pool.acquire(timeout=5) as connection:
                rows = await connection.fetch("SELECT tenant_id FROM fraud.tenants_halted($1)", list(tenants))
        return frozenset(TenantId(row["tenant_id"]) for row in rows)


def _halt(row: asyncpg.Record) -> Halt:
    return Halt(
        tenant_id=TenantId(row["tenant_id"]),
        halted_at=row["halted_at"],
        decisions=row["decisions"],
        declines=row["declines"],
        corridor=DeclineCorridor(
            window_minutes=row["window_minutes"],
            least_decisions=row["least_decisions"],
            ceiling=row["ceiling"],
            floor=row["floor"],
        ),
        policy_version=row["policy_version"],
        lifted_at=row["lifted_at"],
        lifted_by=row["lifted_by"],
        note=row["note"],
    )
