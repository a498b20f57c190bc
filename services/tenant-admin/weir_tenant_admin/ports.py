"""What tenant-admin needs of the outside, as narrow as its use cases."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from weir_common.auth import Role
from weir_common.ids import TenantId
from weir_common.kafka.records import OutgoingRecord

from weir_tenant_admin.domain.latency import HISTOGRAM_SIZE
from weir_tenant_admin.domain.service_levels import FreshnessMinute, RequestMinute
from weir_tenant_admin.domain.tenant import Isolation, Status, Tier, Vertical


class Clock(Protocol):
    """The time, UTC."""

    def __call__(self) -> datetime: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A row of the registry."""

    tenant_id: TenantId
    name: str
    tier: Tier
    vertical: Vertical
    isolation: Isolation
    status: Status
    quota_events_per_second: float
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """A key without its secret. ``tenant_id`` is None for an operator's key."""

    tenant_id: TenantId | None
    key_id: str
    client: str
    key_hash: str
    hint: str
    roles: tuple[Role, ...]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class TenantWriter(Protocol):
    """One transaction on one tenant; what is sent leaves only if it commits."""

    async def add_tenant(self, tenant: Tenant) -> bool:
        """False if a tenant of this id exists."""
        ...

    async def lock_client(self, client: str) -> None:
        """Let no other transaction issue keys for this client until this one ends."""
        ...

    async def keys_of(self, client: str) -> Sequence[StoredKey]: ...

    async def add_key(self, key: StoredKey) -> None: ...

    async def revoke_key(self, key_id: str, at: datetime, by: str) -> StoredKey | None:
        """The key as it is now; None if there is none of this id."""
        ...

    async def send(self, *records: OutgoingRecord) -> None: ...


class TenantStore(Protocol):
    """The registry of tenants and keys."""

    def writing(self, tenant_id: TenantId | None) -> AbstractAsyncContextManager[TenantWriter]:
        """A transaction; None is the platform itself."""
        ...

    async def tenant(self, tenant_id: TenantId) -> Tenant | None: ...

    async def tenants(self, *, after: str | None, limit: int, only: TenantId | None) -> Sequence[Tenant]:
        """By id, after ``after``; ``only`` narrows to one tenant's own view."""
        ...

    async def keys(self, tenant_id: TenantId) -> Sequence[StoredKey]: ...

    async def key_by_hash(self, key_hash: str) -> StoredKey | None: ...

    async def note_use(self, key: StoredKey, at: datetime) -> None:
        """Last use, to the minute."""
        ...


class TokenSigner(Protocol):
    """Signs claims with the key whose public half is in the JWKS."""

    def sign(self, claims: dict[str, Any]) -> str: ...


@dataclass(frozen=True, slots=True, order=True)
class RequestKey:
    """What request counts are summed by, within a tenant."""

    minute: datetime
    service: str
    route: str
    method: str


@dataclass(slots=True)
class RequestSums:
    """Sums of one key; ``latency_buckets`` has ``domain.latency.HISTOGRAM_SIZE`` elements."""

    total: int = 0
    client_errors: int = 0
    over_quota: int = 0
    server_errors: int = 0
    within_50ms: int = 0
    within_5s: int = 0
    events: int = 0
    latency_buckets: list[int] = field(default_factory=lambda: [0] * HISTOGRAM_SIZE)


class ServiceLevelSource(Protocol):
    """Where reports get their counts."""

    async def request_minutes(
        self, tenant_id: TenantId, since: datetime, *, routes: Sequence[str] | None, fast_within: Literal["50ms", "5s"]
    ) -> Sequence[RequestMinute]: ...

    async def latency_histogram(
        self, tenant_id: TenantId, since: datetime, *, routes: Sequence[str] | None
    ) -> Sequence[int]: ...

    async def freshness_minutes(
        self, tenant_id: TenantId, since: datetime, service: str
    ) -> Sequence[FreshnessMinute]: ...

    async def events_between(self, tenant_id: TenantId, since: datetime, until: datetime) -> int | None: ...
