"""REST: what scaling a tenant's consumers would do and why; applying it, and what became of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Path, Request, Response
from weir_common.auth import Action, Principal
from weir_common.events import TenantName
from weir_common.http import CONFLICT, NOT_FOUND, MsgspecResponse, answer, decode_body, principal, tenant_access
from weir_common.ids import TenantId
from weir_common.problems import NotFound

from weir_tenant_admin.domain.scale_messages import plan_ref, read_plan_ref
from weir_tenant_admin.domain.tenant import is_tenant_id
from weir_tenant_admin.entrypoints.documentation import takes
from weir_tenant_admin.plan_scaling import ScaleCommand, ScalePlanning
from weir_tenant_admin.ports import ScalePlan, ScalePlans

Service = Literal["fraud", "anomaly", "analytics"]

PATH = "/api/v2/admin/tenant/scale"


class ScaleRequest(msgspec.Struct, forbid_unknown_fields=True):
    """``dry_run`` shows the plan and changes nothing."""

    tenant_id: TenantName
    service: Service
    dry_run: bool = True
    min: Annotated[int, msgspec.Meta(ge=0, le=1_000)] = 1
    max: Annotated[int, msgspec.Meta(ge=1, le=1_000)] | None = None


TYPES = (ScaleRequest,)
_PLAN_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
_PLAN = ("state", "reason", "updated_at")
_decoder = msgspec.json.Decoder(ScaleRequest)


def scale_router(planning: ScalePlanning, plans: ScalePlans) -> APIRouter:
    """POST /api/v2/admin/tenant/scale and GET …/{plan_id}."""
    router = APIRouter(tags=["scaling"])

    @router.post(
        PATH,
        summary="Plan the scaling of a tenant's consumers, or apply it",
        responses={
            **answer("The plan, which changes nothing", *_PLAN),
            **answer("The plan is being applied; `Location` says where to follow it", *_PLAN, status=202),
            **NOT_FOUND,
            **CONFLICT,
        },
        openapi_extra=takes(ScaleRequest),
    )
    async def scale(request: Request, caller: Annotated[Principal, principal(Action.TENANTS_SCALE)]) -> Response:
        """Explains each number: what was measured, how old it is, which ceiling binds. A missing measurement holds."""
        wanted = decode_body(_decoder, await request.body())
        tenant_id = TenantId(wanted.tenant_id)
        await tenant_access(request, caller, tenant_id, Action.TENANTS_SCALE)
        made = await planning(
            ScaleCommand(tenant_id, wanted.service, wanted.min, wanted.max, apply=not wanted.dry_run), caller
        )
        if wanted.dry_run:
            return MsgspecResponse(_document(made))
        where = f"{PATH}/{plan_ref(made.tenant_id, made.plan_id)}"
        return MsgspecResponse(_document(made), status_code=202, headers={"Location": where})

    @router.get(
        f"{PATH}/{{plan_id}}",
        summary="A plan, and what became of it",
        responses={**answer("The plan", *_PLAN), **NOT_FOUND},
    )
    async def plan(
        plan_id: Annotated[str, Path(json_schema_extra={"pattern": _PLAN_PATTERN})],
        request: Request,
        caller: Annotated[Principal, principal(Action.TENANTS_SCALE)],
    ) -> Response:
        """``state``: planned, applying, applied, undone, or failed when undoing failed too; ``reason`` says why."""
        try:
            tenant_id, own_id = read_plan_ref(plan_id)
        except ValueError:
            raise NotFound("There is no such plan.") from None
        if not is_tenant_id(tenant_id):
            raise NotFound("There is no such plan.")
        await tenant_access(request, caller, tenant_id, Action.TENANTS_SCALE)
        found = await plans.plan(tenant_id, own_id)
        if found is None:
            raise NotFound("There is no such plan.")
        return MsgspecResponse(_document(found))

    return router


def _document(plan: ScalePlan) -> dict[str, Any]:
    return {**plan.document, "state": plan.state, "reason": plan.reason, "updated_at": plan.updated_at}
