"""gRPC: ``TenantService`` for internal callers, and what tenant-admin holds about a data subject."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc.aio
from google.protobuf.timestamp_pb2 import Timestamp
from weir.admin.v1 import tenant_pb2, tenant_pb2_grpc
from weir.privacy.v1 import subject_data_pb2, subject_data_pb2_grpc
from weir_common.auth import Action, Authenticator
from weir_common.grpc import caller_of
from weir_common.ids import TenantId
from weir_common.problems import FieldError, Forbidden, InvalidRequest, NotFound

from weir_tenant_admin.domain.tenant import Isolation, Status, Tier, is_tenant_id
from weir_tenant_admin.ports import Tenant, TenantStore

_TIERS = {
    Tier.TRIAL: tenant_pb2.TIER_TRIAL,
    Tier.STANDARD: tenant_pb2.TIER_STANDARD,
    Tier.PREMIUM: tenant_pb2.TIER_PREMIUM,
    Tier.ENTERPRISE: tenant_pb2.TIER_ENTERPRISE,
}
_ISOLATIONS = {
    Isolation.POOL: tenant_pb2.ISOLATION_POOL,
    Isolation.BRIDGE: tenant_pb2.ISOLATION_BRIDGE,
    Isolation.SILO: tenant_pb2.ISOLATION_SILO,
}
_STATUSES = {
    Status.ACTIVE: tenant_pb2.TENANT_STATUS_ACTIVE,
    Status.SUSPENDED: tenant_pb2.TENANT_STATUS_SUSPENDED,
}
_PAGE, _MAX_PAGE = 100, 500


class TenantServicer(tenant_pb2_grpc.TenantServiceServicer):
    """Reads of the registry; the caller's credential rides in the metadata, and a tenant sees only itself."""

    def __init__(self, store: TenantStore, authenticator: Authenticator) -> None:
        self._store = store
        self._authenticator = authenticator

    async def GetTenant(  # noqa: N802 - the name is the protocol's
        self, request: tenant_pb2.GetTenantRequest, context: grpc.aio.ServicerContext
    ) -> tenant_pb2.GetTenantResponse:
        """NOT_FOUND if there is none, PERMISSION_DENIED for another tenant's."""
        caller = caller_of(context, self._authenticator, Action.TENANTS_MANAGE)
        if not is_tenant_id(request.tenant_id):
            raise InvalidRequest(
                "No tenant has such an id.",
                errors=[FieldError("/tenant_id", "a tenant's id", request.tenant_id[:80])],
            )
        tenant_id = TenantId(request.tenant_id)
        if not caller.may_enter(tenant_id):
            raise Forbidden("The credential belongs to another tenant.")
        tenant = await self._store.tenant(tenant_id)
        if tenant is None:
            raise NotFound(f"There is no tenant '{tenant_id}'.")
        return tenant_pb2.GetTenantResponse(tenant=_tenant(tenant))

    async def ListTenants(  # noqa: N802 - the name is the protocol's
        self, request: tenant_pb2.ListTenantsRequest, context: grpc.aio.ServicerContext
    ) -> tenant_pb2.ListTenantsResponse:
        """Pages by id; a tenant's own caller sees one."""
        caller = caller_of(context, self._authenticator, Action.TENANTS_MANAGE)
        size = request.page_size or _PAGE
        if not 1 <= size <= _MAX_PAGE:
            raise InvalidRequest(
                "The page size is out of range.",
                errors=[FieldError("/page_size", f"1 to {_MAX_PAGE}", str(request.page_size))],
            )
        found = await self._store.tenants(after=request.page_token or None, limit=size + 1, only=caller.tenant_id)
        page = list(found[:size])
        return tenant_pb2.ListTenantsResponse(
            tenants=[_tenant(tenant) for tenant in page],
            next_page_token=page[-1].tenant_id if len(found) > size else "",
        )


class TenantAdminSubjectData(subject_data_pb2_grpc.SubjectDataServiceServicer):
    """The registry knows merchants and their keys, and no shopper."""

    async def ExportSubject(  # noqa: N802 - the name is the protocol's
        self, request: subject_data_pb2.ExportSubjectRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[subject_data_pb2.ExportSubjectResponse]:
        """One summary, no record."""
        yield subject_data_pb2.ExportSubjectResponse(
            summary=subject_data_pb2.SubjectSummary(
                records=0, explanation="The registry holds tenants and API keys; neither names a shopper."
            )
        )


def _tenant(tenant: Tenant) -> tenant_pb2.Tenant:
    created = Timestamp()
    created.FromDatetime(tenant.created_at)
    return tenant_pb2.Tenant(
        tenant_id=tenant.tenant_id,
        name=tenant.name,
        tier=_TIERS[tenant.tier],
        vertical=str(tenant.vertical),
        isolation=_ISOLATIONS[tenant.isolation],
        status=_STATUSES[tenant.status],
        quota_events_per_second=tenant.quota_events_per_second,
        created_at=created,
    )
