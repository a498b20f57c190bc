"""The first operator's key: made by the launcher, stored here as a hash, so that there is someone to create tenants."""

from __future__ import annotations

from collections.abc import Callable

from weir_common.api_keys import hash_api_key, is_well_formed, redact_api_key
from weir_common.audit import PLATFORM, AuditEntry, audit_record
from weir_common.auth import Role
from weir_common.errors import StopError
from weir_common.ids import uuid7

from weir_tenant_admin.ports import Clock, StoredKey, TenantStore
from weir_tenant_admin.registry_records import key_record

SERVICE = "tenant-admin"
CLIENT = "bootstrap"


async def bootstrap_operator(
    secret: str, store: TenantStore, clock: Clock, wake_outbox: Callable[[], None]
) -> StoredKey | None:
    """Store the key if it is new; None if it is known (also when it was revoked: a restart must not undo that).

    ``StopError`` if the text is no API key.
    """
    if not is_well_formed(secret):
        raise StopError("the bootstrap key file does not hold an API key (its checksum does not match)")
    key_hash = hash_api_key(secret)
    async with store.writing(None) as writer:
        await writer.lock_client(CLIENT)
        if any(known.key_hash == key_hash for known in await writer.keys_of(CLIENT)):
            return None
        key = StoredKey(
            tenant_id=None,
            key_id=str(uuid7()),
            client=CLIENT,
            key_hash=key_hash,
            hint=redact_api_key(secret),
            roles=(Role.OPERATOR,),
            created_at=clock(),
            created_by="service:tenant-admin",
            expires_at=None,
            revoked_at=None,
            last_used_at=None,
        )
        await writer.add_key(key)
        await writer.send(
            key_record(key),
            audit_record(
                AuditEntry(
                    tenant_id=PLATFORM,
                    actor="service:tenant-admin",
                    actor_kind="service",
                    action="key:bootstrap",
                    object_ref=f"key:{key.key_id}",
                    outcome="success",
                    service=SERVICE,
                )
            ),
        )
    wake_outbox()
    return key
