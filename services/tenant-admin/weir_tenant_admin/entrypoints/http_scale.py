"""REST: what scaling a tenant's consumers would do, and why."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Request, Response
from weir_common.auth import Action, Principal
from weir_common.http import MsgspecResponse, decode_body, principal, tenant_access
from weir_common.ids import TenantId, uuid7
from weir_common.kafka.partitioner import TENANT_PARTITIONS
from weir_common.problems import FieldError, InvalidRequest, NotFound, Problem

from weir_tenant_admin.domain.scaling import Limits, plan
from weir_tenant_admin.domain.tenant import PLANS
from weir_tenant_admin.lag_table import LagTable
from weir_tenant_admin.ports import TenantStore
from weir_tenant_admin.settings import ScalingSettings

Service = Literal["fraud", "anomaly", "analytics"]


class ScaleRequest(msgspec.Struct, forbid_unknown_fields=True):
    """``dry_run`` shows the plan and changes nothing."""

    tenant_id: str
    service: Service
    dry_run: bool = True
    min: Annotated[int, msgspec.Meta(ge=0, le=1_000)] = 1
    max: Annotated[int, msgspec.Meta(ge=1, le=1_000)] | None = None


class NotBuiltYet(Problem):
    """Said plainly, so that nobody waits for replicas that do not come."""

    status = 501
    slug = "not-implemented"
    title = "Applying a plan is not built yet"


_decoder = msgspec.json.Decoder(ScaleRequest)


def scale_router(store: TenantStore, lags: LagTable, settings: ScalingSettings, now: Callable[[], float]) -> APIRouter:
    """POST /api/v2/admin/tenant/scale."""
    router = APIRouter(prefix="/api/v2/admin", tags=["scaling"])

    @router.post(
        "/tenant/scale",
        summary="Plan the scaling of a tenant's consumers",
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": {"type": "object", "required": ["tenant_id", "service"]},
                        "example": {"tenant_id": "merchant_12345", "service": "fraud", "dry_run": True},
                    }
                },
            }
        },
    )
    async def scale(request: Request, caller: Annotated[Principal, principal(Action.TENANTS_SCALE)]) -> Response:
        """Explains each number: what was measured, how old it is, which ceiling binds. A missing measurement holds."""
        wanted = decode_body(_decoder, await request.body())
        tenant_id = TenantId(wanted.tenant_id)
        await tenant_access(request, caller, tenant_id, Action.TENANTS_SCALE)
        tenant = await store.tenant(tenant_id)
        if tenant is None:
            raise NotFound(f"There is no tenant '{tenant_id}'.")
        granted = PLANS[tenant.tier]
        maximum = wanted.max if wanted.max is not None else granted.max_replicas
        if wanted.min > maximum:
            raise InvalidRequest(
                "The bounds leave nothing between them.",
                errors=[FieldError("/min", f"at most {maximum}", str(wanted.min))],
            )
        made = plan(
            lags.measure(wanted.service, tenant_id, now()),
            Limits(
                minimum=wanted.min,
                maximum=maximum,
                plan_maximum=granted.max_replicas,
                partitions=TENANT_PARTITIONS,
                cost_per_replica_hour=settings.cost_per_replica_hour,
                max_cost_per_hour=granted.max_cost_per_hour,
            ),
        )
        as_of = datetime.fromtimestamp(now(), UTC)
        document: dict[str, Any] = {
            "plan_id": str(uuid7()),
            "tenant_id": tenant_id,
            "service": wanted.service,
            "dry_run": True,
            "as_of": as_of,
            "expires_at": as_of + timedelta(seconds=settings.plan_lifetime_seconds),
            **made.document(),
            "expected": {
                "lag_s_after": made.lag_seconds_after,
                "cost_per_hour_delta": made.cost_per_hour_delta,
            },
            "admission": "unknown",
            "hash": made.hash,
        }
        if not wanted.dry_run:
            raise NotBuiltYet(
                "The plan is in 'plan'; nothing was changed.", extra={"plan": msgspec.to_builtins(document)}
            )
        return MsgspecResponse(document)

    return router
