"""Client-credentials grant (RFC 6749, section 4.4): an API key becomes a ten-minute token."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from weir_common.api_keys import hash_api_key, is_well_formed
from weir_common.ids import uuid7
from weir_common.problems import Unauthenticated
from weir_common.settings import AuthSettings

from weir_tenant_admin.domain.tenant import Status
from weir_tenant_admin.domain.token_claims import MACHINE_TOKEN_SECONDS, token_claims
from weir_tenant_admin.ports import Clock, TenantStore, TokenSigner

_USE_RESOLUTION = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Token:
    """What the client gets; ``expires_in`` in seconds."""

    access_token: str
    expires_in: int
    scope: str
    token_type: str = "Bearer"  # noqa: S105 - the kind of token (RFC 6750), not a secret


class KeyExchange:
    """Asks the store and not the memory, so that a key works in the instant after its issue and not after its revocation."""

    def __init__(self, store: TenantStore, signer: TokenSigner, auth: AuthSettings, clock: Clock) -> None:
        self._store = store
        self._signer = signer
        self._auth = auth
        self._clock = clock

    async def __call__(self, secret: str) -> Token:
        """``Unauthenticated`` for a key that is malformed, unknown, expired, revoked, or of a suspended tenant."""
        refused = Unauthenticated(
            "The API key is not known, has expired or was revoked.", extra={"error": "invalid_client"}
        )
        if not is_well_formed(secret):
            raise Unauthenticated(
                "The API key is malformed (its checksum does not match): was it copied in full?",
                extra={"error": "invalid_client"},
            )
        key = await self._store.key_by_hash(hash_api_key(secret))
        now = self._clock()
        if key is None or key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now):
            raise refused
        if key.tenant_id is not None:
            tenant = await self._store.tenant(key.tenant_id)
            if tenant is None or tenant.status is not Status.ACTIVE:
                raise refused
        lifetime = MACHINE_TOKEN_SECONDS
        if key.expires_at is not None:
            lifetime = min(lifetime, int((key.expires_at - now).total_seconds()))
        if lifetime < 1:
            raise refused
        token = self._signer.sign(
            token_claims(
                issuer=self._auth.issuer,
                audience=self._auth.audience,
                subject=f"key:{key.key_id}",
                tenant_id=key.tenant_id,
                roles=key.roles,
                token_id=str(uuid7()),
                issued_at=int(now.timestamp()),
                lifetime_seconds=lifetime,
            )
        )
        if key.last_used_at is None or now - key.last_used_at >= _USE_RESOLUTION:
            await self._store.note_use(key, now)
        return Token(token, lifetime, " ".join(key.roles))
