"""A subject request as the service knows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from weir_common.ids import TenantId

from weir_compliance.domain.manifest import RequestHeading, StoreReceipt
from weir_compliance.domain.request_state import RequestKind, RequestState, StoreState
from weir_compliance.domain.subject import Subject


@dataclass(frozen=True, slots=True, repr=False)
class Particulars:
    """What identifies a person or may: sealed wherever it is stored. `reference` and `reason` are the caller's free
    text.
    """

    subject: Subject
    reference: str
    reason: str

    def __repr__(self) -> str:
        return f"Particulars({self.subject!r})"


@dataclass(frozen=True, slots=True)
class NewRequest:
    """A request as it is received."""

    tenant_id: TenantId
    request_id: UUID
    kind: RequestKind
    regime: str
    particulars: Particulars
    recipient: str | None
    requested_by: str
    idempotency_key: str | None
    body_digest: bytes
    received_at: datetime
    due_at: datetime


@dataclass(frozen=True, slots=True)
class StoreTask:
    """One store's part."""

    store: str
    state: StoreState
    attempts: int
    error_code: str | None
    started_at: datetime | None
    finished_at: datetime | None
    receipt: StoreReceipt | None


class KeyState(StrEnum):
    """Who can open the archive."""

    RECIPIENT = "recipient"  # encrypted to the public key that the requester gave
    PENDING = "pending"  # a key is made when the archive is packed
    AVAILABLE = "available"  # made, and waiting to be handed out, once
    HANDED_OUT = "handed_out"
    DESTROYED = "destroyed"


@dataclass(frozen=True, slots=True)
class Archive:
    """The packed export. `manifest` is the JSON document that is served beside it."""

    size_bytes: int
    sha256: bytes
    manifest: bytes
    link_expires_at: datetime


@dataclass(frozen=True, slots=True)
class SubjectRequest:
    """A request with its stores."""

    tenant_id: TenantId
    request_id: UUID
    kind: RequestKind
    regime: str
    state: RequestState
    particulars: Particulars
    recipient: str | None
    requested_by: str
    body_digest: bytes
    received_at: datetime
    due_at: datetime
    finished_at: datetime | None
    escalation: str | None
    escalated_at: datetime | None
    key_state: KeyState
    archive: Archive | None
    tasks: Mapping[str, StoreTask]

    @property
    def heading(self) -> RequestHeading:
        return RequestHeading(
            str(self.request_id), self.tenant_id, self.kind, self.regime, self.received_at, self.due_at
        )

    @property
    def receipts(self) -> list[StoreReceipt]:
        """Of the stores that delivered, by name."""
        return [task.receipt for _, task in sorted(self.tasks.items()) if task.receipt is not None]

    @property
    def missing_stores(self) -> list[str]:
        return sorted(store for store, task in self.tasks.items() if task.state is not StoreState.DONE)


def request_ref(tenant_id: TenantId, request_id: UUID) -> str:
    """How workflows refer to a request."""
    return f"{tenant_id}/{request_id}"


def read_ref(ref: str) -> tuple[TenantId, UUID]:
    """ValueError unless made by `request_ref`."""
    tenant_id, separator, request_id = ref.rpartition("/")
    if not separator or not tenant_id:
        raise ValueError("a request reference is tenant/uuid")
    return TenantId(tenant_id), UUID(request_id)


def workflow_id(tenant_id: TenantId, request_id: UUID) -> str:
    """One workflow a request: starting it again is refused by its id."""
    return f"dsr/{request_ref(tenant_id, request_id)}"
