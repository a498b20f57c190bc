"""Watch the share of declines of each tenant, and halt declines where it leaves its corridor.

What was stored is counted here and written once a second, all tenants in one statement, which gives back the sums of all instances. So a
decision costs a line in a dictionary. A second's counts are lost when the process dies, which moves a share of hundreds by little.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

import structlog
from weir_common.audit import AuditEntry
from weir_common.auth import Action
from weir_common.errors import RetryError
from weir_common.ids import TenantId

from weir_fraud.decline_metrics import DeclineMetrics
from weir_fraud.domain.decision import Decision
from weir_fraud.domain.decline_corridor import Counted, DeclineCorridor, Halt, Position, is_by_deny_list, position_of
from weir_fraud.domain.outcome import Outcome
from weir_fraud.ports import DeclineStore, PoliciesInForce

log = structlog.get_logger(__name__)

SERVICE: Final = "fraud"
FLUSH_SECONDS: Final = 1.0
_WRITE_SECONDS: Final = 4.0
_MAX_CELLS: Final = 50_000
"""Tenants and minutes that are counted and not written yet: so many only if nothing was written for long."""


class WatchDeclines:
    """`count` what was stored; `run` does the rest."""

    def __init__(
        self,
        store: DeclineStore,
        policies: PoliciesInForce,
        usual: DeclineCorridor,
        metrics: DeclineMetrics,
        clock: Callable[[], datetime],
    ) -> None:
        """`usual` is the corridor of tenants whose policy has none."""
        self._store = store
        self._policies = policies
        self._usual = usual
        self._metrics = metrics
        self._clock = clock
        self._counted: dict[tuple[TenantId, datetime], Counted] = {}

    def count(self, stored: Sequence[Decision]) -> None:
        """New decisions. Never waits and never raises."""
        for decision in stored:
            if decision.declines_halted:
                self._metrics.held(decision.tenant_id)
            if is_by_deny_list(decision.policy_rule):
                continue
            declined = decision.declines_halted or decision.outcome is Outcome.DECLINE
            self._add(
                (decision.tenant_id, decision.decided_at.replace(second=0, microsecond=0)), Counted(1, int(declined))
            )

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop; what was counted is then written."""
        while not stop.is_set():
            try:
                async with asyncio.timeout(FLUSH_SECONDS):
                    await stop.wait()
            except TimeoutError:
                pass
            await self.flush()

    async def flush(self) -> None:
        """Write what was counted and look at the sums; what cannot be written now is kept for the next time."""
        if not self._counted:
            return
        counted, self._counted = self._counted, {}
        written = False
        try:
            async with asyncio.timeout(_WRITE_SECONDS):
                corridors = await self._corridors({tenant_id for tenant_id, _ in counted})
                now = self._clock()
                windows = {tenant_id: corridor.window_minutes for tenant_id, (corridor, _) in corridors.items()}
                sums = await self._store.add(counted, windows, now)
                written = True
                for tenant_id, in_window in sums.items():
                    await self._look(tenant_id, *corridors[tenant_id], in_window, now)
        except (RetryError, TimeoutError) as error:
            if not written:
                self._keep(counted)
            log.warning("the share of declines was not looked at", reason=str(error) or type(error).__name__)

    async def _corridors(self, tenants: set[TenantId]) -> Mapping[TenantId, tuple[DeclineCorridor, int]]:
        policies = await self._policies(tenants)
        return {
            tenant_id: (policy.policy.decline_corridor or self._usual, policy.version)
            for tenant_id, policy in policies.items()
        }

    async def _look(
        self, tenant_id: TenantId, corridor: DeclineCorridor, policy_version: int, counted: Counted, now: datetime
    ) -> None:
        position = position_of(corridor, counted)
        if position is Position.TOO_FEW or counted.share is None:
            return
        self._metrics.share(tenant_id, counted.share, position is Position.BELOW)
        if position is not Position.ABOVE:
            return
        halt = Halt(
            tenant_id=tenant_id,
            halted_at=now,
            decisions=counted.decisions,
            declines=counted.declines,
            corridor=corridor,
            policy_version=policy_version,
        )
        if not await self._store.halt(halt, _entry(halt)):
            return
        self._metrics.tripped(tenant_id)
        log.error(
            "declines are halted: would-be declines are held for review until a person lifts it",
            tenant=tenant_id,
            share=round(counted.share, 4),
            ceiling=corridor.ceiling,
            decisions=counted.decisions,
            window_minutes=corridor.window_minutes,
        )

    def _add(self, cell: tuple[TenantId, datetime], more: Counted) -> None:
        before = self._counted.get(cell, Counted(0, 0))
        self._counted[cell] = Counted(before.decisions + more.decisions, before.declines + more.declines)

    def _keep(self, counted: Mapping[tuple[TenantId, datetime], Counted]) -> None:
        for cell, more in counted.items():
            if len(self._counted) < _MAX_CELLS or cell in self._counted:
                self._add(cell, more)
            else:
                self._metrics.lost(more.decisions)


def _entry(halt: Halt) -> AuditEntry:
    return AuditEntry(
        tenant_id=halt.tenant_id,
        actor=SERVICE,
        actor_kind="service",
        action=str(Action.FRAUD_DECLINES_LIFT),
        object_ref="fraud-declines",
        outcome="success",
        detail={
            "what": "halt",
            "decisions": str(halt.decisions),
            "declines": str(halt.declines),
            "ceiling": str(halt.corridor.ceiling),
            "window_minutes": str(halt.corridor.window_minutes),
            "policy_version": str(halt.policy_version),
        },
        service=SERVICE,
    )
