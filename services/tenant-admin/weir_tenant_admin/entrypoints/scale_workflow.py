"""Applying a plan as a workflow: apply, let the controller act, keep it; undo it on any failure.

Deterministic: no I/O, no clock but the workflow's, no settings.
"""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from weir_tenant_admin.domain.scale_messages import (
        APPLY_PLAN,
        AWAIT_CONTROLLER,
        CONCLUDE_PLAN,
        CONTROLLER_IDLE,
        PLAN_GONE,
        REFUSED,
        UNDO_PLAN,
        WORKFLOW_NAME,
        Conclusion,
        ScaleOrder,
    )

_FINAL = [REFUSED, CONTROLLER_IDLE, PLAN_GONE]
_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    maximum_interval=timedelta(seconds=15),
    maximum_attempts=0,
    non_retryable_error_types=_FINAL,
)
_STEP = timedelta(seconds=60)
_HEARTBEAT = timedelta(seconds=20)
# A control plane that is away that long comes back by a person's hand; that person is told by the state "failed".
_APPLY_WITHIN = timedelta(minutes=2)
_UNDO_WITHIN = timedelta(hours=1)


@workflow.defn(name=WORKFLOW_NAME)
class ScaleTenantWorkflow:
    @workflow.run
    async def run(self, order: ScaleOrder) -> str:
        applying = asyncio.create_task(self._apply(order))
        try:
            # Shielded: undoing while the step is still at work would leave what it does afterwards.
            await asyncio.shield(applying)
            wait = timedelta(seconds=order.controller_wait_seconds)
            await workflow.execute_activity(
                AWAIT_CONTROLLER,
                order,
                start_to_close_timeout=wait + _STEP,
                schedule_to_close_timeout=2 * wait + _APPLY_WITHIN,
                heartbeat_timeout=_HEARTBEAT,
                retry_policy=_RETRY,
            )
        except (ActivityError, asyncio.CancelledError) as error:
            if not is_cancelled_exception(error):
                return await self._undo(order, _code(error))
            # Whoever cancels half-way must not leave half of it behind.
            await workflow.wait([applying])
            await asyncio.shield(asyncio.create_task(self._undo(order, "cancelled")))
            raise
        return await self._conclude(Conclusion(order.plan_ref, "applied", ""))

    async def _apply(self, order: ScaleOrder) -> None:
        await workflow.execute_activity(
            APPLY_PLAN,
            order,
            start_to_close_timeout=_STEP,
            schedule_to_close_timeout=_APPLY_WITHIN,
            retry_policy=_RETRY,
        )

    async def _undo(self, order: ScaleOrder, reason: str) -> str:
        try:
            await workflow.execute_activity(
                UNDO_PLAN,
                order,
                start_to_close_timeout=_STEP,
                schedule_to_close_timeout=_UNDO_WITHIN,
                retry_policy=_RETRY,
            )
        except ActivityError as error:
            return await self._conclude(Conclusion(order.plan_ref, "failed", f"{reason}; not undone: {_code(error)}"))
        return await self._conclude(Conclusion(order.plan_ref, "undone", reason))

    async def _conclude(self, conclusion: Conclusion) -> str:
        await workflow.execute_activity(CONCLUDE_PLAN, conclusion, start_to_close_timeout=_STEP, retry_policy=_RETRY)
        return conclusion.state


def _code(error: BaseException) -> str:
    cause = error.__cause__
    if isinstance(cause, ApplicationError):
        return cause.message
    return type(cause or error).__name__
