"""Who calls, and what they may do. Machines send an API key, people an EdDSA token; services verify both themselves.

The gateway verifies too, but nothing here trusts its headers: a request that reaches a service by another way is judged alike.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import jwt
import msgspec

from weir_common.api_keys import hash_api_key, is_well_formed
from weir_common.credentials import CredentialDirectory
from weir_common.errors import StopError
from weir_common.ids import TenantId
from weir_common.problems import Forbidden, Unauthenticated, Unavailable
from weir_common.settings import AuthSettings


class Role(StrEnum):
    """The roles of the tenancy design, section e."""

    OWNER = "owner"
    ADMIN = "admin"
    ANALYST = "analyst"
    FRAUD_ANALYST = "fraud-analyst"
    PRIVACY_OFFICER = "privacy-officer"
    OPERATOR = "operator"
    BILLING = "billing"
    AUDITOR = "auditor"
    INGEST = "ingest"
    SUPPORT = "support"


class Action(StrEnum):
    """What can be allowed; every endpoint names one."""

    EVENTS_WRITE = "events:write"
    EVENTS_READ = "events:read"
    QUARANTINE_MANAGE = "quarantine:manage"
    FRAUD_SCORE = "fraud:score"
    FRAUD_LABEL = "fraud:label"
    FRAUD_CASES_READ = "fraud_cases:read"
    FRAUD_CASES_WORK = "fraud_cases:work"
    FRAUD_POLICY_READ = "fraud_policy:read"
    FRAUD_POLICY_DRAFT = "fraud_policy:draft"
    FRAUD_POLICY_APPROVE = "fraud_policy:approve"
    FRAUD_DECLINES_LIFT = "fraud_declines:lift"
    FRAUD_MODELS_MANAGE = "fraud_models:manage"
    FRAUD_MODELS_OVERRIDE_GATE = "fraud_models:override_gate"
    ANOMALIES_READ = "anomalies:read"
    DASHBOARD_READ = "dashboard:read"
    SUBJECT_REQUESTS_WRITE = "subject_requests:write"
    SUBJECT_REQUESTS_READ = "subject_requests:read"
    SUBJECTS_LOOK_UP = "subjects:look_up"
    SLA_READ = "sla:read"
    TENANTS_SCALE = "tenants:scale"
    TENANTS_MANAGE = "tenants:manage"
    HEALTH_READ = "health:read"
    AUDIT_READ = "audit:read"


_EVERYTHING = frozenset(Action)
_PLATFORM = frozenset({Action.HEALTH_READ, Action.FRAUD_MODELS_MANAGE, Action.FRAUD_MODELS_OVERRIDE_GATE})
"""Of the platform as a whole: never a tenant's."""

PERMISSIONS: Mapping[Role, frozenset[Action]] = {
    Role.OWNER: _EVERYTHING - _PLATFORM,
    Role.ADMIN: _EVERYTHING - _PLATFORM - {Action.SUBJECT_REQUESTS_WRITE, Action.AUDIT_READ},
    Role.ANALYST: frozenset({Action.DASHBOARD_READ, Action.ANOMALIES_READ, Action.SLA_READ, Action.EVENTS_READ}),
    Role.FRAUD_ANALYST: frozenset(
        {
            Action.FRAUD_SCORE,
            Action.FRAUD_LABEL,
            Action.FRAUD_CASES_READ,
            Action.FRAUD_CASES_WORK,
            # Drafts and submits; an admin or the owner approves.
            Action.FRAUD_POLICY_READ,
            Action.FRAUD_POLICY_DRAFT,
            Action.ANOMALIES_READ,
            Action.DASHBOARD_READ,
            Action.EVENTS_READ,
            Action.SUBJECTS_LOOK_UP,
        }
    ),
    Role.PRIVACY_OFFICER: frozenset(
        {
            Action.SUBJECT_REQUESTS_WRITE,
            Action.SUBJECT_REQUESTS_READ,
            Action.SUBJECTS_LOOK_UP,
            Action.AUDIT_READ,
        }
    ),
    Role.OPERATOR: _EVERYTHING - {Action.EVENTS_WRITE},
    Role.BILLING: frozenset({Action.SLA_READ}),
    Role.AUDITOR: frozenset(
        {
            Action.DASHBOARD_READ,
            Action.ANOMALIES_READ,
            Action.FRAUD_CASES_READ,
            Action.SUBJECT_REQUESTS_READ,
            Action.SLA_READ,
            Action.AUDIT_READ,
            Action.HEALTH_READ,
            Action.EVENTS_READ,
            Action.FRAUD_POLICY_READ,
        }
    ),
    Role.INGEST: frozenset({Action.EVENTS_WRITE, Action.FRAUD_SCORE, Action.FRAUD_LABEL, Action.EVENTS_READ}),
    Role.SUPPORT: frozenset({Action.HEALTH_READ}),
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls. ``tenant_id`` is None for operators of the platform, who belong to no tenant."""

    tenant_id: TenantId | None
    subject: str
    kind: Literal["person", "machine", "service"]
    roles: frozenset[Role]
    key_id: str | None = None

    def may(self, action: Action) -> bool:
        """Whether any role of the caller allows ``action`` at all (the tenant is checked apart)."""
        return any(action in PERMISSIONS[role] for role in self.roles)

    def may_enter(self, tenant_id: TenantId) -> bool:
        """Whether the caller may act on data of ``tenant_id``."""
        if self.tenant_id is not None:
            return self.tenant_id == tenant_id
        return Role.OPERATOR in self.roles or Role.AUDITOR in self.roles


class _Claims(msgspec.Struct, frozen=True):
    sub: str
    exp: int
    tenant: str | None = None
    roles: list[Role] = []


class TokenVerifier:
    """Verifies EdDSA tokens against the JWKS file; both keys of a rotation are accepted while both are in the file."""

    _CACHE_SIZE = 4_096

    def __init__(self, settings: AuthSettings) -> None:
        self._settings = settings
        self._keys: dict[str, Any] = {}
        self._loaded_mtime: float | None = None
        self._verified: OrderedDict[str, tuple[float, Principal]] = OrderedDict()

    def verify(self, token: str) -> Principal:
        """The caller, or ``Unauthenticated`` saying why; a verified token is remembered until it expires."""
        self._reload(self._settings.jwks_path)
        known = self._verified.get(token)
        if known is not None:
            if known[0] > time.time():
                return known[1]
            del self._verified[token]
        try:
            key = self._keys[jwt.get_unverified_header(token).get("kid", "")]
            raw = jwt.decode(
                token,
                key=key,
                algorithms=["EdDSA"],
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                options={"require": ["exp", "sub", "aud", "iss"]},
            )
            claims = msgspec.convert(raw, _Claims)
        except KeyError as error:
            raise Unauthenticated("The token is signed by a key that is not in the key set.") from error
        except jwt.ExpiredSignatureError as error:
            raise Unauthenticated("The token has expired; ask for a new one.") from error
        except (jwt.InvalidTokenError, msgspec.ValidationError) as error:
            raise Unauthenticated(f"The token is not valid: {error}") from error
        principal = Principal(
            tenant_id=TenantId(claims.tenant) if claims.tenant else None,
            subject=claims.sub,
            kind="person",
            roles=frozenset(claims.roles),
        )
        self._verified[token] = (float(claims.exp), principal)
        if len(self._verified) > self._CACHE_SIZE:
            self._verified.popitem(last=False)
        return principal

    def _reload(self, path: Path) -> None:
        try:
            mtime = path.stat().st_mtime
            if mtime == self._loaded_mtime:
                return
            keys = jwt.PyJWKSet.from_json(path.read_text("utf-8")).keys
        except (OSError, jwt.PyJWKSetError) as error:
            if self._keys:
                return  # a rotation in the middle of its write: go on with the keys we have
            raise StopError(f"no key set at {path}: {error}") from error
        self._keys = {key.key_id or "": key for key in keys}
        self._loaded_mtime = mtime
        self._verified.clear()


class Authenticator:
    """Turns a request's credentials into a principal."""

    def __init__(self, directory: CredentialDirectory, tokens: TokenVerifier) -> None:
        self._directory = directory
        self._tokens = tokens

    def authenticate(self, *, api_key: str | None, authorization: str | None) -> Principal:
        """``Unauthenticated`` when there is no credential or a bad one; the reason never tells whether a key exists.

        ``Unavailable`` for a key that is not known as long as not all are.
        """
        if authorization:
            scheme, _, token = authorization.partition(" ")
            if scheme.lower() != "bearer" or not token:
                raise Unauthenticated("Send 'Authorization: Bearer <token>' or 'X-Api-Key: <key>'.")
            if token.startswith("weir_"):
                return self._by_key(token)
            return self._tokens.verify(token)
        if api_key:
            return self._by_key(api_key)
        raise Unauthenticated("Send an API key in 'X-Api-Key' or a token in 'Authorization: Bearer'.")

    def _by_key(self, key: str) -> Principal:
        record = self._directory.find(hash_api_key(key))
        if record is None and not is_well_formed(key):
            raise Unauthenticated("The API key is malformed (its checksum does not match): was it copied in full?")
        if record is None and not self._directory.caught_up:
            # To call it unknown would make a sender throw away what it cannot send; that we are not ready it waits for.
            raise Unavailable("Credentials are still being read; try again.", slug="starting")
        if record is None:
            raise Unauthenticated("The API key is not known, has expired or was revoked.")
        return _machine(record.key_id, record.tenant_id, tuple(record.roles))


@lru_cache(maxsize=10_000)
def _machine(key_id: str, tenant_id: str | None, roles: tuple[str, ...]) -> Principal:
    return Principal(
        tenant_id=TenantId(tenant_id) if tenant_id else None,
        subject=f"key:{key_id}",
        kind="machine",
        roles=frozenset(Role(role) for role in roles if role in Role._value2member_map_),
        key_id=key_id,
    )


def require(principal: Principal, action: Action) -> None:
    """``Forbidden`` unless a role of the caller allows the action."""
    if not principal.may(action):
        held = ", ".join(sorted(principal.roles)) or "none"
        raise Forbidden(f"'{action}' needs a role that allows it; the caller holds: {held}.")
