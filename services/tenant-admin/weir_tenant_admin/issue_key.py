"""Issue an API key: shown once, stored as a hash, known to every service within a second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from weir_common.api_keys import generate_api_key, hash_api_key, redact_api_key
from weir_common.audit import AuditEntry, audit_record
from weir_common.auth import Principal, Role
from weir_common.ids import TenantId, uuid7
from weir_common.problems import Conflict, FieldError, Forbidden, InvalidRequest, NotFound

from weir_tenant_admin.domain.grants import MAX_LIVE_KEYS_PER_CLIENT, grantable_roles, live_keys
from weir_tenant_admin.ports import Clock, StoredKey, TenantStore
from weir_tenant_admin.registry_records import key_record

SERVICE = "tenant-admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueKey:
    """The command. ``client`` names the program that will hold the key; it may have two live keys, for rotation."""

    tenant_id: TenantId
    client: str
    roles: tuple[Role, ...]
    expires_at: datetime | None = None
    mode: Literal["live", "test"] = "live"


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """``secret`` exists here and at the client, nowhere else."""

    secret: str
    stored: StoredKey


class KeyIssue:
    """Owners and admins for their tenant, operators for any; nobody gives more than he may."""

    def __init__(self, store: TenantStore, clock: Clock, wake_outbox: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._wake_outbox = wake_outbox

    async def __call__(self, command: IssueKey, caller: Principal) -> IssuedKey:
        """``Forbidden`` for a role beyond the caller's, ``Conflict`` for a third live key, ``NotFound`` without tenant."""
        beyond = sorted(set(command.roles) - grantable_roles(caller))
        if beyond:
            raise Forbidden(f"The caller may not give these roles: {', '.join(beyond)}.", slug="role-not-grantable")
        now = self._clock()
        if command.expires_at is not None and command.expires_at <= now:
            raise InvalidRequest(
                "The key would be expired from the start.",
                errors=[FieldError("/expires_at", "a time in the future", command.expires_at.isoformat())],
            )
        if await self._store.tenant(command.tenant_id) is None:
            raise NotFound(f"There is no tenant '{command.tenant_id}'.")
        secret = generate_api_key(command.mode)
        key = StoredKey(
            tenant_id=command.tenant_id,
            key_id=str(uuid7()),
            client=command.client,
            key_hash=hash_api_key(secret),
            hint=redact_api_key(secret),
            roles=tuple(sorted(set(command.roles))),
            created_at=now,
            created_by=caller.subject,
            expires_at=command.expires_at,
            revoked_at=None,
            last_used_at=None,
        )
        async with self._store.writing(command.tenant_id) as writer:
            await writer.lock_client(command.client)
            present = [(known.revoked_at, known.expires_at) for known in await writer.keys_of(command.client)]
            if live_keys(present, now) >= MAX_LIVE_KEYS_PER_CLIENT:
                raise Conflict(
                    f"Client '{command.client}' has {MAX_LIVE_KEYS_PER_CLIENT} live keys, enough for a rotation; "
                    "revoke one first.",
                    slug="too-many-live-keys",
                )
            await writer.add_key(key)
            await writer.send(
                key_record(key),
                audit_record(
                    AuditEntry(
                        tenant_id=command.tenant_id,
                        actor=caller.subject,
                        actor_kind=caller.kind,
                        action="key:issue",
                        object_ref=f"key:{key.key_id}",
                        outcome="success",
                        detail={"roles": ",".join(key.roles), "client": command.client},
                        service=SERVICE,
                    )
                ),
            )
        self._wake_outbox()
        return IssuedKey(secret, key)
