"""Whose data a request is about: the credential's tenant; an operator says which, and that is audited."""

from __future__ import annotations

from fastapi import Request
from weir_common.auth import Action, Principal
from weir_common.http import tenant_access
from weir_common.ids import TenantId
from weir_common.problems import FieldError, InvalidRequest


async def enter(request: Request, caller: Principal, tenant_id: str | None, action: Action) -> TenantId:
    """The tenant. `Forbidden`, audited, if it is not the caller's; `InvalidRequest` if an operator names none."""
    tenant = TenantId(tenant_id) if tenant_id else caller.tenant_id
    if tenant is None:
        raise InvalidRequest(
            "An operator says which tenant.",
            errors=[FieldError(parameter="tenant_id", expected="a tenant's id", got="nothing")],
        )
    await tenant_access(request, caller, tenant, action)
    return tenant
