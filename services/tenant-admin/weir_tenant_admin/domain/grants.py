"""Who may give which role. Nobody gives what reaches beyond his own: that would be a way up."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from weir_common.auth import Principal, Role

MAX_LIVE_KEYS_PER_CLIENT = 2
"""One in use and one that replaces it: a rotation needs two, more would only hide forgotten ones."""

_OF_A_TENANT = frozenset(Role) - {Role.OPERATOR, Role.SUPPORT}
"""Operators and support belong to the platform; a tenant's credential never carries their roles."""


def grantable_roles(caller: Principal) -> frozenset[Role]:
    """The roles that ``caller`` may put on a credential of a tenant."""
    if caller.tenant_id is None:
        return _OF_A_TENANT if Role.OPERATOR in caller.roles else frozenset()
    if Role.OWNER in caller.roles:
        return _OF_A_TENANT
    if Role.ADMIN in caller.roles:
        return _OF_A_TENANT - {Role.OWNER, Role.PRIVACY_OFFICER, Role.AUDITOR}
    return frozenset()


def may_mint_person_tokens(caller: Principal) -> bool:
    """An owner for his tenant, an operator for any."""
    return Role.OWNER in caller.roles or (caller.tenant_id is None and Role.OPERATOR in caller.roles)


def live_keys(keys: Iterable[tuple[datetime | None, datetime | None]], now: datetime) -> int:
    """How many of the keys, each (revoked_at, expires_at), still open a door at ``now``."""
    return sum(revoked_at is None and (expires_at is None or expires_at > now) for revoked_at, expires_at in keys)
