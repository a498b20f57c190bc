"""A short-lived token for a person of a tenant, so that people can be tried where no identity provider is connected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from weir_common.audit import AuditEntry, audit_record
from weir_common.auth import Principal, Role
from weir_common.ids import TenantId, uuid7
from weir_common.problems import Forbidden, NotFound
from weir_common.settings import AuthSettings

from weir_tenant_admin.domain.grants import grantable_roles, may_mint_person_tokens
from weir_tenant_admin.domain.token_claims import token_claims
from weir_tenant_admin.exchange_key import Token
from weir_tenant_admin.ports import Clock, TenantStore, TokenSigner

SERVICE = "tenant-admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class MintPersonToken:
    """The command. ``subject`` is the person's identifier, e.g. the ``sub`` of an identity provider."""

    tenant_id: TenantId
    subject: str
    roles: tuple[Role, ...]
    lifetime_seconds: int


class PersonTokenMint:
    """Owners for their tenant, operators for any. The entry in the audit log precedes the token."""

    def __init__(
        self,
        store: TenantStore,
        signer: TokenSigner,
        auth: AuthSettings,
        clock: Clock,
        wake_outbox: Callable[[], None],
    ) -> None:
        self._store = store
        self._signer = signer
        self._auth = auth
        self._clock = clock
        self._wake_outbox = wake_outbox

    async def __call__(self, command: MintPersonToken, caller: Principal) -> Token:
        """``Forbidden`` unless the caller may and every role is his to give; ``NotFound`` without tenant."""
        if not may_mint_person_tokens(caller):
            raise Forbidden("Tokens for people are given by an owner or an operator.")
        beyond = sorted(set(command.roles) - grantable_roles(caller))
        if beyond:
            raise Forbidden(f"The caller may not give these roles: {', '.join(beyond)}.", slug="role-not-grantable")
        if await self._store.tenant(command.tenant_id) is None:
            raise NotFound(f"There is no tenant '{command.tenant_id}'.")
        token_id = str(uuid7())
        async with self._store.writing(command.tenant_id) as writer:
            await writer.send(
                audit_record(
                    AuditEntry(
                        tenant_id=command.tenant_id,
                        actor=caller.subject,
                        actor_kind=caller.kind,
                        action="token:mint",
                        object_ref=f"token:{token_id}",
                        outcome="success",
                        detail={"roles": ",".join(sorted(command.roles))},
                        service=SERVICE,
                    )
                )
            )
        self._wake_outbox()
        token = self._signer.sign(
            token_claims(
                issuer=self._auth.issuer,
                audience=self._auth.audience,
                subject=command.subject,
                tenant_id=command.tenant_id,
                roles=command.roles,
                token_id=token_id,
                issued_at=int(self._clock().timestamp()),
                lifetime_seconds=command.lifetime_seconds,
            )
        )
        return Token(token, command.lifetime_seconds, " ".join(sorted(command.roles)))
