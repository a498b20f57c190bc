"""Create a tenant: the row, its record for every service and its audit entry are one transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from weir_common.audit import AuditEntry, audit_record
from weir_common.auth import Principal, Role
from weir_common.ids import TenantId
from weir_common.problems import Conflict, Forbidden

from weir_tenant_admin.domain.tenant import PLANS, Status, Tier, Vertical
from weir_tenant_admin.ports import Clock, Tenant, TenantStore
from weir_tenant_admin.registry_records import tenant_record

SERVICE = "tenant-admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateTenant:
    """The command. Without a quota the tier's own applies."""

    tenant_id: TenantId
    name: str
    tier: Tier
    vertical: Vertical
    quota_events_per_second: float | None = None
    quota_bytes_per_second: float | None = None
    quota_events_per_day: int | None = None


class TenantCreation:
    """Only operators create tenants."""

    def __init__(self, store: TenantStore, clock: Clock, wake_outbox: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._wake_outbox = wake_outbox

    async def __call__(self, command: CreateTenant, caller: Principal) -> Tenant:
        """The new tenant; ``Conflict`` if the id is taken, ``Forbidden`` unless the caller is an operator."""
        if caller.tenant_id is not None or Role.OPERATOR not in caller.roles:
            raise Forbidden("Tenants are created by the platform's operators.")
        limits = PLANS[command.tier]
        tenant = Tenant(
            tenant_id=command.tenant_id,
            name=command.name,
            tier=command.tier,
            vertical=command.vertical,
            isolation=limits.isolation,
            status=Status.ACTIVE,
            quota_events_per_second=command.quota_events_per_second or limits.quota_events_per_second,
            quota_bytes_per_second=command.quota_bytes_per_second,
            quota_events_per_day=command.quota_events_per_day,
            created_at=self._clock(),
            created_by=caller.subject,
        )
        async with self._store.writing(tenant.tenant_id) as writer:
            if not await writer.add_tenant(tenant):
                raise Conflict(f"A tenant '{tenant.tenant_id}' exists already.", slug="tenant-exists")
            await writer.send(
                tenant_record(tenant),
                audit_record(
                    AuditEntry(
                        tenant_id=tenant.tenant_id,
                        actor=caller.subject,
                        actor_kind=caller.kind,
                        action="tenant:create",
                        object_ref=f"tenant:{tenant.tenant_id}",
                        outcome="success",
                        detail={"tier": tenant.tier},
                        service=SERVICE,
                    )
                ),
            )
        self._wake_outbox()
        return tenant
