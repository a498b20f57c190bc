"""The steps of applying a plan: apply, wait until the controller has acted, keep or undo. Each may run more than once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from weir_common.audit import AuditEntry, audit_record
from weir_common.ids import TenantId

from weir_tenant_admin.errors import ControllerIdle, PlanGone
from weir_tenant_admin.ports import Clock, Cluster, PlanState, ScalePlan, ScalePlans

SERVICE = "tenant-admin"
_POLL_SECONDS = 0.5


class ScaleApplication:
    """Works on kept plans; ``PlanGone`` if there is none of that id."""

    def __init__(self, plans: ScalePlans, cluster: Cluster, clock: Clock, wake_outbox: Callable[[], None]) -> None:
        self._plans = plans
        self._cluster = cluster
        self._clock = clock
        self._wake_outbox = wake_outbox

    async def plan(self, tenant_id: TenantId, plan_id: str) -> ScalePlan:
        """The plan as it is kept."""
        found = await self._plans.plan(tenant_id, plan_id)
        if found is None:
            raise PlanGone(f"{tenant_id} has no plan {plan_id}")
        return found

    async def apply(self, tenant_id: TenantId, plan_id: str) -> None:
        """What is there is remembered first, and only once: a repeat must not take our own work for the former state."""
        plan = await self.plan(tenant_id, plan_id)
        if plan.before is None:
            await self._plans.remember(tenant_id, plan_id, await self._cluster.snapshot(plan.target))
        await self._plans.turn(tenant_id, plan_id, PlanState.APPLYING, "", self._clock())
        await self._cluster.apply(plan.target)

    async def await_controller(
        self, tenant_id: TenantId, plan_id: str, wait_seconds: float, beat: Callable[[], None]
    ) -> int:
        """The replicas that the controller has set; ``ControllerIdle`` if it has not acted in time."""
        target = (await self.plan(tenant_id, plan_id)).target
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_seconds
        while True:
            beat()
            answer = await self._cluster.follows(target)
            if answer.acted:
                return answer.replicas
            if loop.time() > deadline:
                raise ControllerIdle(answer.reason)
            await asyncio.sleep(_POLL_SECONDS)

    async def undo(self, tenant_id: TenantId, plan_id: str) -> None:
        """Back to what was remembered; nothing if the plan did not get that far."""
        plan = await self.plan(tenant_id, plan_id)
        if plan.before is not None:
            await self._cluster.restore(plan.target, plan.before)

    async def conclude(self, tenant_id: TenantId, plan_id: str, state: PlanState, reason: str) -> None:
        """The plan's last state, with its audit entry."""
        plan = await self.plan(tenant_id, plan_id)
        await self._plans.turn(
            tenant_id,
            plan_id,
            state,
            reason,
            self._clock(),
            audit_record(
                AuditEntry(
                    tenant_id=tenant_id,
                    actor=plan.created_by,
                    actor_kind=plan.actor_kind,
                    action="tenant:scale",
                    object_ref=f"scale-plan:{plan_id}",
                    outcome="success" if state is PlanState.APPLIED else "failure",
                    detail={"step": str(state), "service": plan.service, "reason": reason},
                    service=SERVICE,
                )
            ),
        )
        self._wake_outbox()
