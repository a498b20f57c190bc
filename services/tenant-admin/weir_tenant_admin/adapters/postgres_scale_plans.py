"""Scaling plans in PostgreSQL, under row level security."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from weir_common.ids import TenantId
from weir_common.kafka.records import OutgoingRecord
from weir_common.outbox import add_to_outbox
from weir_common.postgres import tenant_transaction

from weir_tenant_admin.adapters.postgres_tenants import SCHEMA
from weir_tenant_admin.ports import PlanState, ScalePlan, Snapshot

_COLUMNS = (
    "tenant_id, plan_id, service, minimum, maximum, state, reason, document, before, "
    "created_at, created_by, actor_kind, updated_at"
)


class PostgresScalePlans:
    """``ScalePlans``."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def add(self, plan: ScalePlan, *records: OutgoingRecord) -> None:
        """A new plan, and what leaves with it."""
        async with tenant_transaction(self._pool, plan.tenant_id) as connection:
            # weir-lint: allow W002 - _COLUMNS begins with tenant_id
            await connection.execute(
                f"INSERT INTO tenant_admin.scale_plan ({_COLUMNS}) "  # noqa: S608 - a constant
                "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
                plan.tenant_id,
                UUID(plan.plan_id),
                plan.service,
                plan.minimum,
                plan.maximum,
                plan.state,
                plan.reason,
                msgspec.json.encode(plan.document).decode(),
                msgspec.json.encode(plan.before).decode() if plan.before is not None else None,
                plan.created_at,
                plan.created_by,
                plan.actor_kind,
                plan.updated_at,
            )
            await add_to_outbox(connection, SCHEMA, records)

    async def plan(self, tenant_id: TenantId, plan_id: str) -> ScalePlan | None:
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            row = await connection.fetchrow(
                f"SELECT {_COLUMNS} FROM tenant_admin.scale_plan WHERE tenant_id = $1 AND plan_id = $2",  # noqa: S608 - a constant
                tenant_id,
                UUID(plan_id),
            )
        return _plan(row) if row is not None else None

    async def remember(self, tenant_id: TenantId, plan_id: str, before: Snapshot) -> None:
        async with tenant_transaction(self._pool, tenant_id) as connection:
            await connection.execute(
                "UPDATE tenant_admin.scale_plan SET before = $3 "
                "WHERE tenant_id = $1 AND plan_id = $2 AND before IS NULL",
                tenant_id,
                UUID(plan_id),
                msgspec.json.encode(before).decode(),
            )

    async def turn(
        self, tenant_id: TenantId, plan_id: str, state: PlanState, reason: str, at: datetime, *records: OutgoingRecord
    ) -> ScalePlan | None:
        async with tenant_transaction(self._pool, tenant_id) as connection:
            row = await connection.fetchrow(
                "UPDATE tenant_admin.scale_plan SET state = $3, reason = $4, updated_at = $5 "  # noqa: S608 - a constant
                f"WHERE tenant_id = $1 AND plan_id = $2 AND state <> $3 RETURNING {_COLUMNS}",
                tenant_id,
                UUID(plan_id),
                state,
                reason,
                at,
            )
            if row is not None:
                await add_to_outbox(connection, SCHEMA, records)
                return _plan(row)
        return await self.plan(tenant_id, plan_id)


def _plan(row: asyncpg.Record) -> ScalePlan:
    document: dict[str, Any] = msgspec.json.decode(row["document"])
    return ScalePlan(
        plan_id=str(row["plan_id"]),
        tenant_id=TenantId(row["tenant_id"]),
        service=row["service"],
        minimum=row["minimum"],
        maximum=row["maximum"],
        state=PlanState(row["state"]),
        reason=row["reason"],
        document=document,
        before=msgspec.json.decode(row["before"], type=Snapshot) if row["before"] is not None else None,
        created_at=row["created_at"],
        created_by=row["created_by"],
        actor_kind=row["actor_kind"],
        updated_at=row["updated_at"],
    )
