"""The steps of applying a plan as Temporal activities: decode, call, map errors to codes."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError
from weir_common.ids import TenantId

from weir_tenant_admin.apply_scaling import ScaleApplication
from weir_tenant_admin.domain.scale_messages import (
    APPLY_PLAN,
    AWAIT_CONTROLLER,
    CONCLUDE_PLAN,
    CONTROLLER_IDLE,
    PLAN_GONE,
    REFUSED,
    UNDO_PLAN,
    Conclusion,
    ScaleOrder,
    read_plan_ref,
    workflow_id,
)
from weir_tenant_admin.errors import AdmissionDenied, ApplyConflict, ControllerIdle, PlanGone
from weir_tenant_admin.ports import PlanState

log = structlog.get_logger(__name__)

T = TypeVar("T")


def coded(error: Exception) -> ApplicationError:
    """What Temporal may keep of an error: a code, and a type that says whether to retry."""
    match error:
        case ApplyConflict():
            fields = ",".join(sorted(field for _, field in error.conflicts))
            return ApplicationError(f"conflict: {fields}", type=REFUSED, non_retryable=True)
        case AdmissionDenied():
            return ApplicationError("admission denied", type=REFUSED, non_retryable=True)
        case ControllerIdle():
            return ApplicationError(f"controller idle: {error}", type=CONTROLLER_IDLE, non_retryable=True)
        case PlanGone() | ValueError():
            return ApplicationError("no such plan", type=PLAN_GONE, non_retryable=True)
        case _:
            return ApplicationError(type(error).__name__, type="Transient")


def _coded(function: Callable[..., Awaitable[T]]) -> Callable[..., Awaitable[T]]:
    @functools.wraps(function)
    async def run(*arguments: Any) -> T:
        try:
            return await function(*arguments)
        except Exception as error:  # noqa: BLE001 - every error becomes a code; see above
            failure = coded(error)
            log.warning(
                "activity failed",
                activity=activity.info().activity_type,
                workflow_id=activity.info().workflow_id,
                attempt=activity.info().attempt,
                code=failure.message,
                error=str(error),
                retried=not failure.non_retryable,
            )
            raise failure from None

    return run


class ScaleActivities:
    """One method a step."""

    def __init__(self, application: ScaleApplication) -> None:
        self._application = application

    @activity.defn(name=APPLY_PLAN)
    @_coded
    async def apply_plan(self, order: ScaleOrder) -> None:
        await self._application.apply(*await self._named(order.plan_ref))

    @activity.defn(name=AWAIT_CONTROLLER)
    @_coded
    async def await_controller(self, order: ScaleOrder) -> int:
        named = await self._named(order.plan_ref)
        return await self._application.await_controller(*named, order.controller_wait_seconds, activity.heartbeat)

    @activity.defn(name=UNDO_PLAN)
    @_coded
    async def undo_plan(self, order: ScaleOrder) -> None:
        await self._application.undo(*await self._named(order.plan_ref))

    @activity.defn(name=CONCLUDE_PLAN)
    @_coded
    async def conclude_plan(self, conclusion: Conclusion) -> None:
        named = await self._named(conclusion.plan_ref)
        await self._application.conclude(*named, PlanState(conclusion.state), conclusion.reason)

    def all(self) -> Sequence[Callable[..., Any]]:
        """For the worker."""
        return [self.apply_plan, self.await_controller, self.undo_plan, self.conclude_plan]

    async def _named(self, plan_ref: str) -> tuple[TenantId, str]:
        """The plan, which must be one of the target whose workflow this is: a forged input must not reach another's."""
        tenant_id, plan_id = read_plan_ref(plan_ref)
        plan = await self._application.plan(tenant_id, plan_id)
        if activity.info().workflow_id != workflow_id(tenant_id, plan.service):
            raise PlanGone("the plan is another workflow's")
        return tenant_id, plan_id
