"""What tenant-admin needs of the outside, as narrow as its use cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Protocol

from weir_common.auth import Role
from weir_common.ids import TenantId
from weir_common.kafka.records import OutgoingRecord

from weir_tenant_admin.domain.latency import HISTOGRAM_SIZE
from weir_tenant_admin.domain.ledger import Done
from weir_tenant_admin.domain.manifests import Target
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
    quota_bytes_per_second: float | None = None
    quota_events_per_day: int | None = None
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


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is there of a target; None: the object does not exist. ``replicas`` as the Deployment asks for."""

    replicas: int | None
    minimum: int | None
    maximum: int | None

    @property
    def has_deployment(self) -> bool:
        return self.replicas is not None

    @property
    def has_autoscaler(self) -> bool:
        return self.maximum is not None


@dataclass(frozen=True, slots=True)
class Preview:
    """What applying one object would do. ``changes``: (path in the spec, before, after)."""

    object_ref: str
    admission: Literal["allowed", "denied", "not tried"]
    reason: str = ""
    changes: tuple[tuple[str, Any, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Follows:
    """Whether the autoscaling controller works on the target as it now stands; ``reason`` says why it does not."""

    acted: bool
    replicas: int
    reason: str


class Cluster(Protocol):
    """The Kubernetes API. Every call raises ``ControlPlaneUnavailable`` when it does not answer in time."""

    async def snapshot(self, target: Target) -> Snapshot: ...

    async def preview(self, target: Target) -> Sequence[Preview]:
        """Asks the API server itself (dry run), which changes nothing."""
        ...

    async def apply(self, target: Target) -> None:
        """``ApplyConflict`` or ``AdmissionDenied`` if the API server refuses; then only the namespace may be new."""
        ...

    async def follows(self, target: Target) -> Follows: ...

    async def restore(self, target: Target, before: Snapshot) -> None:
        """Remove what ``before`` did not hold, and set the bounds that it held. Doing it again changes nothing."""
        ...


class PlanState(StrEnum):
    """``planned`` → ``applying`` → ``applied`` | ``undone`` | ``failed`` (undoing failed too: a person must look)."""

    PLANNED = "planned"
    APPLYING = "applying"
    APPLIED = "applied"
    UNDONE = "undone"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalePlan:
    """A plan that was made. ``document`` is what the client was shown; ``reason`` why it ended as it did."""

    plan_id: str
    tenant_id: TenantId
    service: str
    minimum: int
    maximum: int
    state: PlanState
    reason: str
    document: Mapping[str, Any]
    before: Snapshot | None
    created_at: datetime
    created_by: str
    actor_kind: Literal["person", "machine", "service"]
    updated_at: datetime

    @property
    def target(self) -> Target:
        """What it is about."""
        return Target(self.tenant_id, self.service, self.minimum, self.maximum)


class ScalePlans(Protocol):
    """Plans, each change with its audit entry in one transaction."""

    async def add(self, plan: ScalePlan, *records: OutgoingRecord) -> None:
        """A new plan, and what leaves with it."""
        ...

    async def plan(self, tenant_id: TenantId, plan_id: str) -> ScalePlan | None: ...

    async def remember(self, tenant_id: TenantId, plan_id: str, before: Snapshot) -> None:
        """Keep what was there before the plan was applied; a second time changes nothing."""
        ...

    async def turn(
        self, tenant_id: TenantId, plan_id: str, state: PlanState, reason: str, at: datetime, *records: OutgoingRecord
    ) -> ScalePlan | None:
        """The plan in its new state; None if there is none. ``records`` leave with the change, and only once: not when
        the plan is in that state already.
        """
        ...


class ScaleWorkflows(Protocol):
    """Where plans are applied."""

    async def start(self, plan: ScalePlan) -> bool:
        """False while another plan of the same target is being applied. ``RetryError`` if it could not be started."""
        ...


@dataclass(frozen=True, slots=True)
class LedgerSides:
    """A tenant's minute as it was entered: at the door, and by each consumer."""

    minute: datetime
    received: int
    fates: Mapping[str, int]
    consumers: Mapping[str, Done]


class LedgerSource(Protocol):
    """The books."""

    async def sides(self, tenant_id: TenantId, since: datetime) -> Sequence[LedgerSides]:
        """By minute, ascending; minutes in which nothing happened are left out."""
        ...


@dataclass(frozen=True, slots=True)
class LedgerDigest:
    """A tenant's minutes, where those in which nothing is amiss are only counted: a month has 43,200."""

    even: Sequence[tuple[datetime, int]]
    """Minute and acknowledged events; each has a fate, and each consumer did exactly these."""
    uneven: Sequence[LedgerSides]


class LedgerDigests(Protocol):
    """The books for who asks about long times."""

    async def digest(self, tenant_id: TenantId, since: datetime, consumers: Sequence[str]) -> LedgerDigest:
        """``consumers``: those that must deal with every acknowledged event."""
        ...


class MinuteStore(Protocol):
    """Keeps counts by tenant and minute."""

    async def forget(self, tenant_id: TenantId, before: datetime, *, limit: int) -> int:
        """Delete some of the counts of minutes before then, at most ``limit`` of a kind; how many were. ``RetryError`` when the
        store does not answer."""
        ...
