"""The claims of a short-lived token (RFC 7519)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from weir_common.auth import Role
from weir_common.ids import TenantId

MACHINE_TOKEN_SECONDS = 600
PERSON_TOKEN_MAX_SECONDS = 3_600


def token_claims(
    *,
    issuer: str,
    audience: str,
    subject: str,
    tenant_id: TenantId | None,
    roles: Iterable[Role],
    token_id: str,
    issued_at: int,
    lifetime_seconds: int,
) -> dict[str, Any]:
    """Claims in the names that services and the gateway read; times in seconds since the epoch."""
    claims: dict[str, Any] = {
        "iss": issuer,
        "aud": audience,
        "sub": subject,
        "roles": sorted(roles),
        "jti": token_id,
        "iat": issued_at,
        "nbf": issued_at,
        "exp": issued_at + lifetime_seconds,
    }
    if tenant_id is not None:
        claims["tenant"] = tenant_id
    return claims
