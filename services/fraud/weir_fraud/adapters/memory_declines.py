"""Shares of declines and their halts in memory, for tests."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

import msgspec
from weir_common.audit import AuditEntry
from weir_common.ids import TenantId
from weir_common.problems import Conflict

from weir_fraud.domain.decline_corridor import Counted, Halt


class MemoryDeclines:
    """See `DeclineStore`. `audited` is what the outbox would hold."""

    def __init__(self) -> None:
        self._tallies: dict[tuple[TenantId, datetime], Counted] = {}
        self._halts: list[Halt] = []
        self._revision = 1
        self.audited: list[AuditEntry] = []

    async def add(
        self, counted: Mapping[tuple[TenantId, datetime], Counted], windows: Mapping[TenantId, int], at: datetime
    ) -> Mapping[TenantId, Counted]:
        for cell, more in counted.items():
            before = self._tallies.get(cell, Counted(0, 0))
            self._tallies[cell] = Counted(before.decisions + more.decisions, before.declines + more.declines)
        return {tenant_id: await self.counted(tenant_id, minutes, at) for tenant_id, minutes in windows.items()}

    async def counted(self, tenant_id: TenantId, window_minutes: int, at: datetime) -> Counted:
        since = at.replace(second=0, microsecond=0) - timedelta(minutes=window_minutes)
        cells = [one for (of, minute), one in self._tallies.items() if of == tenant_id and since < minute <= at]
        return Counted(sum(one.decisions for one in cells), sum(one.declines for one in cells))

    async def halt(self, halt: Halt, audit: AuditEntry) -> bool:
        for one in self._halts:
            if one.tenant_id == halt.tenant_id and (one.lifted_at is None or one.lifted_at >= halt.halted_at):
                return False
        self._halts.append(halt)
        self._revision += 1
        self.audited.append(audit)
        return True

    async def lift(
        self, tenant_id: TenantId, halted_at: datetime, by: str, note: str, at: datetime, audit: AuditEntry
    ) -> Halt:
        found = await self.in_force(tenant_id)
        if found is None or found.halted_at != halted_at:
            raise Conflict("That halt is not in force.", slug="not-halted")
        lifted = msgspec.structs.replace(found, lifted_at=at, lifted_by=by, note=note)
        self._halts[self._halts.index(found)] = lifted
        self._tallies = {cell: one for cell, one in self._tallies.items() if cell[0] != tenant_id}
        self._revision += 1
        self.audited.append(audit)
        return lifted

    async def in_force(self, tenant_id: TenantId) -> Halt | None:
        return next((one for one in self._halts if one.tenant_id == tenant_id and one.lifted_at is None), None)

    async def halts(self, tenant_id: TenantId, before: datetime | None, limit: int) -> list[Halt]:
        found = [
            one for one in self._halts if one.tenant_id == tenant_id and (before is None or one.halted_at < before)
        ]
        return sorted(found, key=lambda one: one.halted_at, reverse=True)[:limit]

    async def revision(self) -> tuple[int, int]:
        return self._revision, sum(one.lifted_at is None for one in self._halts)

    async def halted(self, tenants: Collection[TenantId]) -> Collection[TenantId]:
        return frozenset(one.tenant_id for one in self._halts if one.lifted_at is None and one.tenant_id in tenants)
