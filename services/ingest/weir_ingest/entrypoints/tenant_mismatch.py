"""The audit entry for an attempt to write another tenant's events."""

from __future__ import annotations

from weir_common.audit import AuditEntry, AuditTrail
from weir_common.auth import Action, Principal
from weir_common.ids import TenantId


async def audit_mismatch(audit: AuditTrail, caller: Principal, tenant_id: TenantId, object_ref: str) -> None:
    """In the caller's own tenant's log: the other's must not show who else exists."""
    await audit.record(
        AuditEntry(
            tenant_id=tenant_id,
            actor=caller.subject,
            actor_kind=caller.kind,
            action=str(Action.EVENTS_WRITE),
            object_ref=object_ref,
            outcome="denied",
            detail={"reason": "tenant"},
        )
    )
