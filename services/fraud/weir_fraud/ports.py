"""What fraud needs from the outside. Each has a real adapter and a fake, which pass the same contract tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple, Protocol

from weir_common.audit import AuditEntry
from weir_common.ids import EventId, SubjectId, TenantId

from weir_fraud.domain.decision import Decision
from weir_fraud.domain.history import Snapshot
from weir_fraud.domain.label import Label
from weir_fraud.domain.model import ModelCard, Scored
from weir_fraud.domain.payment import Known, Observed, Payment
from weir_fraud.domain.review_case import CaseAction, CaseState, ReviewCase, SealedNote


class FeatureStore(Protocol):
    """The online histories. `FeatureStoreUnavailable` (retry) when it does not answer."""

    async def observe(self, payments: Sequence[Payment]) -> list[Snapshot]:
        """Add each payment, in order, to the histories of its entities, and give its aggregates; one round trip.

        A repeat within the life of its snapshot adds nothing and gives the first answer again; later it adds nothing either.
        """
        ...

    async def replay(self, payments: Sequence[Payment], labels: Sequence[Known | None]) -> list[Snapshot]:
        """As `observe`, of payments of the past, with what is known of them by now; no first answers are kept.

        A repeat adds nothing, and gives its aggregates as they are now.
        """
        ...

    async def label(self, tenant_id: TenantId, observed: Observed, known: Known) -> bool:
        """Put what became known on the observation; False if no history has it any more."""
        ...

    async def history(self, tenant_id: TenantId, users: Sequence[str]) -> bytes:
        """The packed observations of these users (`Payment.user`), oldest first; for data subjects."""
        ...


class Model(Protocol):
    """A trained model. Thread-safe; native code that releases the interpreter's lock."""

    @property
    def card(self) -> ModelCard: ...

    def score(self, vectors: Sequence[Sequence[float]]) -> list[Scored]:
        """Scores with exact contributions, one a vector in the card's order. `ExplanationError` if they do not add up."""
        ...


class DecisionStore(Protocol):
    """Decisions, one for each event for ever. `DecisionStoreUnavailable` (retry) when it does not answer."""

    async def find(self, tenant_id: TenantId, event_id: EventId) -> Decision | None: ...

    async def record(self, decision: Decision) -> Decision:
        """Store a decision and its announcement in one transaction; gives the decision that was first."""
        ...

    def of_subject(
        self, tenant_id: TenantId, user_ids: Sequence[str], anonymous_ids: Sequence[str]
    ) -> AsyncIterator[Decision]:
        """All decisions about a person, by event id."""
        ...


class AddedLabel(NamedTuple):
    """Whether a label is new, and whom the decision on its payment is about; None if there is no decision."""

    is_new: bool
    subject: SubjectId | None


class Work(Protocol):
    """One transaction of one tenant: all that is done in it commits together when it is left, or nothing does."""

    async def add_labels(self, labels: Sequence[Label]) -> list[AddedLabel]:
        """Keep those that are new and announce them; one answer each, in order. Of two that are the same the first is new."""
        ...

    async def case(self, event_id: EventId) -> ReviewCase | None:
        """The case of an event; nobody else changes it until this transaction ends."""
        ...

    async def save(self, case: ReviewCase, action: CaseAction) -> None:
        """What became of a case that `case` gave, and by what."""
        ...

    async def audit(self, entry: AuditEntry) -> None:
        """Into the audit log, if and when the transaction commits."""
        ...


class LabelStore(Protocol):
    """`DecisionStoreUnavailable` (retry) when it does not answer."""

    def work(self, tenant_id: TenantId) -> AbstractAsyncContextManager[Work]:
        """Begin."""
        ...

    async def labels(self, tenant_id: TenantId, event_ids: Sequence[EventId]) -> Mapping[EventId, Sequence[Label]]:
        """The labels of each event that has some, the newest first, at most 1,000 of an event."""
        ...


class QueueOrder(StrEnum):
    """Which case comes first."""

    SCORE = "score"
    OLDEST = "oldest"


class QueueFilter(NamedTuple):
    """Which cases are looked at; without a state those that are not resolved."""

    state: CaseState | None = None
    assignee: str | None = None
    least_score: float = 0.0


class QueuedCase(NamedTuple):
    """A case with what an analyst chooses by."""

    case: ReviewCase
    transaction_id: str
    event_timestamp: datetime
    amount: Decimal | None
    currency: str | None
    reason_codes: tuple[str, ...]


class CaseStore(Protocol):
    """`DecisionStoreUnavailable` (retry) when it does not answer."""

    def work(self, tenant_id: TenantId) -> AbstractAsyncContextManager[Work]:
        """Begin."""
        ...

    async def cases(self, tenant_id: TenantId, event_ids: Sequence[EventId]) -> Mapping[EventId, ReviewCase]:
        """The case of each event that has one."""
        ...

    async def history(self, tenant_id: TenantId, event_id: EventId) -> Sequence[CaseAction]:
        """What was done with a case, from its opening on."""
        ...

    async def queue(
        self,
        tenant_id: TenantId,
        chosen: QueueFilter,
        order: QueueOrder,
        *,
        after: tuple[float | datetime, EventId] | None,
        limit: int,
    ) -> Sequence[QueuedCase]:
        """A page: the highest score first or the oldest first, then by event id. ``after``: score or opening of the last one seen."""
        ...


class Notes(Protocol):
    """Notes of analysts, sealed under the key of whom the payment is about. `VaultUnavailable` (retry) when the vault does not answer."""

    async def close(self, tenant_id: TenantId, event_id: EventId, subject: SubjectId, text: str) -> SealedNote:
        """Seal a note, without the card numbers in it. `KeyDestroyed` when the person was erased."""
        ...

    async def open(self, tenant_id: TenantId, event_id: EventId, notes: Sequence[SealedNote]) -> list[str | None]:
        """The texts, in order; None where the person was erased."""
        ...
