"""What travels through Temporal when a plan is applied: references, states and codes.

These classes are persisted in histories: add optional members only.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from weir_common.ids import TenantId

WORKFLOW_NAME = "ScaleTenant"

APPLY_PLAN = "apply_plan"
AWAIT_CONTROLLER = "await_controller"
UNDO_PLAN = "undo_plan"
CONCLUDE_PLAN = "conclude_plan"

# Types of errors that no retry can mend (ApplicationError.type).
REFUSED = "Refused"
CONTROLLER_IDLE = "ControllerIdle"
PLAN_GONE = "PlanGone"


@dataclass(frozen=True)
class ScaleOrder:
    """``plan_ref`` is what clients know as the plan's id. ``controller_wait_seconds``: then the plan is undone."""

    plan_ref: str
    controller_wait_seconds: float


@dataclass(frozen=True)
class Conclusion:
    """``state`` is a ``PlanState``; ``reason`` a code."""

    plan_ref: str
    state: str
    reason: str


def plan_ref(tenant_id: TenantId, plan_id: str) -> str:
    """``tenant.uuid``: a tenant's id has no dot, so whose plan it is needs no looking up."""
    return f"{tenant_id}.{plan_id}"


def read_plan_ref(text: str) -> tuple[TenantId, str]:
    """Tenant and plan; ``ValueError`` if it is no reference."""
    tenant, dot, plan_id = text.rpartition(".")
    if not dot or not tenant or "." in tenant:
        raise ValueError("a reference is tenant.uuid")
    return TenantId(tenant), str(UUID(plan_id))


def workflow_id(tenant_id: TenantId, service: str) -> str:
    """One a target: two plans for the same consumers cannot run at once."""
    return f"scale/{tenant_id}/{service}"
