"""Revoke an API key: refused everywhere within a second, since every service follows the tenants topic."""

from __future__ import annotations

from collections.abc import Callable

from weir_common.audit import AuditEntry, audit_record
from weir_common.auth import Principal
from weir_common.ids import TenantId
from weir_common.problems import NotFound

from weir_tenant_admin.ports import Clock, StoredKey, TenantStore
from weir_tenant_admin.registry_records import key_record

SERVICE = "tenant-admin"


class KeyRevocation:
    """Revoking again is no error: the record is sent again, so a reader that missed it learns it."""

    def __init__(self, store: TenantStore, clock: Clock, wake_outbox: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._wake_outbox = wake_outbox

    async def __call__(self, tenant_id: TenantId, key_id: str, caller: Principal) -> StoredKey:
        """The key as it is now; ``NotFound`` if the tenant has none of this id."""
        async with self._store.writing(tenant_id) as writer:
            key = await writer.revoke_key(key_id, self._clock(), caller.subject)
            if key is None:
                raise NotFound(f"Tenant '{tenant_id}' has no key '{key_id}'.")
            await writer.send(
                key_record(key),
                audit_record(
                    AuditEntry(
                        tenant_id=tenant_id,
                        actor=caller.subject,
                        actor_kind=caller.kind,
                        action="key:revoke",
                        object_ref=f"key:{key_id}",
                        outcome="success",
                        service=SERVICE,
                    )
                ),
            )
        self._wake_outbox()
        return key
