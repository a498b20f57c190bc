"""What the use cases need from the world."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol
from uuid import UUID

from weir_common.audit import AuditEntry
from weir_common.ids import TenantId

from weir_compliance.domain.audit_chain import Head, StoredEntry
from weir_compliance.domain.deadline import AnswerPeriod
from weir_compliance.domain.manifest import Processing, StoreReceipt
from weir_compliance.domain.subject import Subject
from weir_compliance.domain.subject_request import NewRequest, SubjectRequest

Clock = Callable[[], datetime]
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Received:
    """`created` is False when the idempotency key was known: then `request` is the earlier one."""

    request: SubjectRequest
    created: bool


class SubjectRequests(Protocol):
    """The requests of all tenants, each seen by its own tenant only.

    What changes a request takes the audit entry along and writes it in the same transaction.
    """

    async def receive(self, request: NewRequest, audit: AuditEntry) -> Received: ...

    async def find(self, tenant_id: TenantId, request_id: UUID) -> SubjectRequest | None: ...

    async def of_subject(self, tenant_id: TenantId, subject: Subject) -> Sequence[SubjectRequest]:
        """Requests about any of the subject's identifiers, oldest first."""
        ...

    async def plan(self, tenant_id: TenantId, request_id: UUID, stores: Sequence[str], staging_identity: str) -> None:
        """Received → running, one task a store. Repeating it keeps the first staging identity."""
        ...

    async def staging_identity(self, tenant_id: TenantId, request_id: UUID) -> str:
        """The age identity that parts are sealed for; RequestGoneError once it was destroyed."""
        ...

    async def store_begins(self, tenant_id: TenantId, request_id: UUID, store: str, at: datetime) -> None: ...

    async def store_fails(
        self, tenant_id: TenantId, request_id: UUID, store: str, code: str, *, retried: bool
    ) -> None: ...

    async def store_delivers(
        self, tenant_id: TenantId, request_id: UUID, receipt: StoreReceipt, at: datetime
    ) -> None: ...

    async def store_lost(self, tenant_id: TenantId, request_id: UUID, store: str) -> None:
        """What it delivered is gone: the task is pending again."""
        ...

    async def fulfil(self, fulfilment: "Fulfilment", audit: AuditEntry) -> None:
        """Running → fulfilled; the staging identity is destroyed."""
        ...

    async def escalate(
        self, tenant_id: TenantId, request_id: UUID, reason: str, at: datetime, audit: AuditEntry
    ) -> None: ...

    async def hand_out_key(self, tenant_id: TenantId, request_id: UUID, at: datetime, audit: AuditEntry) -> str | None:
        """The archive's identity, exactly once; None when there is none to hand out (any more)."""
        ...

    async def expire(self, tenant_id: TenantId, request_id: UUID, audit: AuditEntry) -> None:
        """Fulfilled → expired; the archive's identity is destroyed."""
        ...


@dataclass(frozen=True, slots=True, repr=False)
class Fulfilment:
    """`archive_identity` is None when the archive is encrypted to the requester's own key."""

    tenant_id: TenantId
    request_id: UUID
    archive_identity: str | None
    archive_bytes: int
    archive_sha256: bytes
    manifest: bytes
    at: datetime
    link_expires_at: datetime


class Regimes(Protocol):
    """What each law asks, as data."""

    async def answer_period(self, regime: str, kind: str) -> tuple[AnswerPeriod, frozenset[date]] | None:
        """The period and the holidays that it steps over; None for a regime that is not known."""
        ...


@dataclass(frozen=True, slots=True, repr=False)
class SubjectRecord:
    """One record of the subject. `json` is a JSON object, UTF-8."""

    category: str
    record_id: str
    json: bytes


@dataclass(frozen=True, slots=True)
class SubjectSummary:
    """The end of a store's answer: without it the answer is not complete."""

    records: int
    explanation: str
    processing: tuple[Processing, ...]


class SubjectDataSource(Protocol):
    """The services that may hold data of a subject."""

    def records(
        self, store: str, tenant_id: TenantId, request_id: UUID, subject: Subject, subject_ids: Sequence[str]
    ) -> AsyncIterator[SubjectRecord | SubjectSummary]:
        """All records, then exactly one summary. `subject_ids` are the subject's on the log. StoreError subclasses say whether to ask again."""
        ...


class PartWriter(Protocol):
    async def write(self, line: bytes) -> None: ...
    async def flush(self) -> None: ...
    @property
    def plain_bytes(self) -> int: ...
    @property
    def plain_sha256(self) -> bytes: ...


@dataclass(frozen=True, slots=True, repr=False)
class PackOrder:
    """What to pack for whom: `staging_identity` opens the parts, `recipient` (an age public key) will open the
    archive.
    """

    request_id: UUID
    staging_identity: str
    recipient: str
    receipts: Sequence[StoreReceipt]
    manifest: Mapping[str, object]
    generated_at: datetime


@dataclass(frozen=True, slots=True)
class PackedArchive:
    """The file as it is on disk."""

    size_bytes: int
    sha256: bytes


class Archives(Protocol):
    """Where archives lie until their link expires."""

    async def pack(self, order: PackOrder) -> PackedArchive:
        """One archive of all parts; PartDamagedError names a store that must deliver again."""
        ...

    def remove_parts(self, request_id: UUID) -> None: ...

    def remove_all(self, request_id: UUID) -> None: ...


class Parts(Protocol):
    """Where stores deliver to."""

    def has_part(self, request_id: UUID, store: str) -> bool: ...

    def part_writer(self, request_id: UUID, store: str, recipient: str) -> AbstractAsyncContextManager[PartWriter]: ...


class RequestWorkflows(Protocol):
    """The running of requests."""

    async def start_waiting(self) -> None:
        """Start the workflows of the requests that were received. RetryError when Temporal is away; nothing is lost."""
        ...

    async def rerun_store(self, tenant_id: TenantId, request_id: UUID, store: str) -> None:
        """Ask one store again now. Conflict if it has delivered or the request is final."""
        ...


class AuditLog(Protocol):
    """The stored audit log, for reading."""

    async def entries(self, tenant_id: TenantId, after_seq: int, limit: int) -> Sequence[StoredEntry]:
        """By sequence, the first after `after_seq` (-1 from the start)."""
        ...

    async def head(self, tenant_id: TenantId) -> Head: ...

    async def logs(self) -> Sequence[TenantId]:
        """The tenants that have a log."""
        ...
