"""What travels through Temporal: references, counts, codes and durations. Nothing of a person, nothing that was
exported.

These classes are persisted in histories: add optional members only.
"""

from dataclasses import dataclass, field

WORKFLOW_NAME = "SubjectRequest"

PLAN_REQUEST = "plan_request"
COLLECT_STORE = "collect_store"
PACK_ARCHIVE = "pack_archive"
ESCALATE_REQUEST = "escalate_request"
EXPIRE_EXPORT = "expire_export"

# Types of errors that no retry can mend (ApplicationError.type).
STORE_REFUSED = "StoreRefused"
STORE_FALSE = "StoreFalse"
REQUEST_GONE = "RequestGone"


@dataclass(frozen=True)
class SubjectRequestInput:
    """`request_ref` is `tenant/uuid`; the row behind it has the rest. Times are RFC 3339 in UTC."""

    request_ref: str
    kind: str
    regime: str
    received_at: str
    due_at: str


@dataclass(frozen=True)
class RequestOrder:
    request_ref: str


@dataclass(frozen=True)
class StoreOrder:
    request_ref: str
    store: str


@dataclass(frozen=True)
class EscalationOrder:
    """`reason`: `store_late`, `store_failed`, `archive_late`, `due_soon` or `workflow_cancelled`. `store` is empty
    for a request as a whole.
    """

    request_ref: str
    reason: str
    store: str = ""


@dataclass(frozen=True)
class RequestPlan:
    """Which stores to ask, and the periods in force when the request started (so that a replay sees the same ones)."""

    stores: list[str]
    store_timeout_seconds: float
    store_late_after_seconds: float
    warn_before_due_seconds: list[float]
    link_seconds: float


@dataclass(frozen=True)
class StoreOutcome:
    records: int


@dataclass(frozen=True)
class PackOutcome:
    """`missing_stores`: what they delivered is gone or damaged; they must be asked again before the archive can be
    packed.
    """

    missing_stores: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class RequestStatus:
    """The answer to the `status` query: what an operator sees in the Temporal UI."""

    state: str
    stores: dict[str, str] = field(default_factory=dict)
