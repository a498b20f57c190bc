"""What fraud needs from the outside. Each has a real adapter and a fake, which pass the same contract tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple, Protocol

from weir_common.audit import AuditEntry
from weir_common.ids import EventId, SubjectId, TenantId

from weir_fraud.domain.decision import Decision
from weir_fraud.domain.decline_corridor import Counted, Halt
from weir_fraud.domain.drift import Calibration, DriftReport
from weir_fraud.domain.history import Snapshot
from weir_fraud.domain.label import Label
from weir_fraud.domain.model import ModelCard, Scored, Thresholds
from weir_fraud.domain.model_stage import ModelChange, ModelVersion, Move, Override, Stage
from weir_fraud.domain.outcome import Outcome
from weir_fraud.domain.payment import Known, Observation, Observed, Payment
from weir_fraud.domain.policy import Draft, Entry, Policy, PolicyVersion, VersionState
from weir_fraud.domain.policy_judgement import Bound, Condition, Facts, PolicyInForce
from weir_fraud.domain.promotion_gate import Backtest, GateRecord, StoredBacktest
from weir_fraud.domain.review_case import CaseAction, CaseState, ReviewCase, SealedNote


class Unobserved(NamedTuple):
    """A payment that was decided while the histories were away, and whose histories it belongs to."""

    event_id: EventId
    observation: Observation
    digests: tuple[bytes, ...]


class FeatureStore(Protocol):
    """The online histories. `FeatureStoreUnavailable` (retry) when it does not answer."""

    async def observe(self, payments: Sequence[Payment]) -> list[Snapshot]:
        """Add each payment, in order, to the histories of its entities, and give its aggregates; one round trip.

        A repeat adds nothing, and gives the aggregates as they are now, without itself.
        """
        ...

    async def replay(self, payments: Sequence[Payment], labels: Sequence[Known | None]) -> list[Snapshot]:
        """As `observe`, of payments of the past, with what is known of them by now."""
        ...

    async def restore(self, tenant_id: TenantId, kept: Sequence[Unobserved]) -> None:
        """Add payments, in order, that were decided while the histories were away. What a history has already is not added again."""
        ...

    async def label(self, tenant_id: TenantId, observed: Observed, known: Known) -> bool:
        """Put what became known on the observation; False if no history has it any more."""
        ...

    async def history(self, tenant_id: TenantId, users: Sequence[str]) -> bytes:
        """The packed observations of these users (`Payment.user`), oldest first; for data subjects."""
        ...


class FeaturesInTime(Protocol):
    """The histories for a payment that somebody waits for."""

    async def __call__(self, payments: Sequence[Payment]) -> list[Snapshot] | None:
        """As `FeatureStore.observe`; None, after a deadline or at once, if they do not answer."""
        ...


class PaymentLog(Protocol):
    """Payments that the mesh accepted and still has."""

    def batches(self, size: int, tenant_id: TenantId | None = None) -> AsyncIterator[list[Payment]]:
        """In the order of their acceptance, of all tenants or of one."""
        ...


class Model(Protocol):
    """A trained model. Thread-safe; native code that releases the interpreter's lock."""

    @property
    def card(self) -> ModelCard: ...

    def score(self, vectors: Sequence[Sequence[float]]) -> list[Scored]:
        """Scores with exact contributions, one a vector in the card's order. `ExplanationError` if they do not add up."""
        ...

    def unexplained(self, vectors: Sequence[Sequence[float]]) -> list[Scored]:
        """The same to the last bit, but for the contributions, which are empty: several times faster."""
        ...


class ModelsInForce(Protocol):
    """The model that decides for each tenant. `ModelRegistryUnavailable` (retry) when it is not known which one that is."""

    async def __call__(self, tenants: Collection[TenantId]) -> Mapping[TenantId, Model]:
        """One for each of the tenants, loaded and warm. Whoever has it may go on with it, whatever is promoted meanwhile."""
        ...

    def instead_of(self, broken: Model) -> Sequence[Model]:
        """Which are to decide, the first that can, when this one fails: those that decided before it. Loaded and warm."""
        ...


class HaltsInForce(Protocol):
    """Of which tenants declines are halted. `DecisionStoreUnavailable` (retry) when it is not known."""

    async def __call__(self, tenants: Collection[TenantId]) -> frozenset[TenantId]:
        """Those of the tenants."""
        ...


class DeclineStore(Protocol):
    """Shares of declines and their halts. `DecisionStoreUnavailable` (retry) when it does not answer."""

    async def add(
        self, counted: Mapping[tuple[TenantId, datetime], Counted], windows: Mapping[TenantId, int], at: datetime
    ) -> Mapping[TenantId, Counted]:
        """Add to the minutes of any tenants, in one transaction; gives the sums of each tenant's window of so many minutes up to `at`.

        Every tenant that is counted has a window.
        """
        ...

    async def counted(self, tenant_id: TenantId, window_minutes: int, at: datetime) -> Counted:
        """The sums of the last so many minutes, the present one included."""
        ...

    async def halt(self, halt: Halt, audit: AuditEntry) -> bool:
        """Begin it. False, and no audit entry, if one is in force or was lifted since."""
        ...

    async def lift(
        self, tenant_id: TenantId, halted_at: datetime, by: str, note: str, at: datetime, audit: AuditEntry
    ) -> Halt:
        """End it; what was counted is forgotten. `Conflict` unless it is in force."""
        ...

    async def in_force(self, tenant_id: TenantId) -> Halt | None: ...

    async def halts(self, tenant_id: TenantId, before: datetime | None, limit: int) -> list[Halt]:
        """The newest first, of those that began before a time."""
        ...

    async def revision(self) -> tuple[int, int]:
        """A number that every change raises, and how many tenants' declines are halted."""
        ...

    async def halted(self, tenants: Collection[TenantId]) -> Collection[TenantId]:
        """Those of the tenants whose declines are halted."""
        ...


class ModelFiles(Protocol):
    """Files of models in object storage. `ModelFilesUnavailable` (retry) when it does not answer."""

    async def put(self, folder: str, files: Mapping[str, bytes]) -> None:
        """Store files that are not there yet; the same again is a no-op, another content `ModelRefused`."""
        ...

    async def get(self, folder: str, names: Collection[str]) -> dict[str, bytes]:
        """`ModelRefused` if one is not there or is larger than any model."""
        ...

    def uri(self, folder: str) -> str:
        """Where a folder is, for people."""
        ...


MovesAudited = Callable[[Sequence[Move]], Sequence[AuditEntry]]
"""The audit entries of what the registry moves, made when it is known."""


class Serving(NamedTuple):
    """What the instances are to load, as of a revision."""

    revision: int
    versions: tuple[ModelVersion, ...]
    """Champion first, then challengers, then the shadow."""


class ModelRegistry(Protocol):
    """Versions and stages. Every change and its audit entries are one transaction. `ModelRegistryUnavailable` (retry)."""

    async def register(
        self, card: ModelCard, folder: str, files: Mapping[str, str], by: str, at: datetime, audit: MovesAudited
    ) -> list[Move]:
        """Keep a version whose files are stored; it becomes the champion if there is none. A version that is known is left as it is."""
        ...

    async def promote(
        self,
        version: str,
        to: Stage,
        by: str,
        note: str,
        at: datetime,
        audit: MovesAudited,
        gate: GateRecord | None = None,
    ) -> ModelVersion:
        """Move a version to a stage, and whoever gives way to it. `NotFound`, `Conflict`.

        `gate` is kept with the move; `Conflict`, too, if the champion is another by now than the one that it was held against.
        """
        ...

    async def roll_back(self, by: str, note: str, at: datetime, audit: MovesAudited) -> ModelVersion:
        """Make the champion before the champion again; gives that one. `Conflict` if there was none."""
        ...

    async def version(self, version: str) -> ModelVersion | None: ...

    async def previous(self) -> str | None:
        """Whom a rollback would make the champion."""
        ...

    async def versions(self, before: tuple[datetime, str] | None, limit: int) -> list[ModelVersion]:
        """The newest first, after `before` (when registered, and version)."""
        ...

    async def changes(self, version: str, limit: int) -> list[ModelChange]:
        """Where a version was moved, the newest first."""
        ...

    async def serving(self, known: int | None) -> Serving | None:
        """None while the revision is the one that is known."""
        ...

    async def set_override(
        self, tenant_id: TenantId, version: str, by: str, note: str, at: datetime, audit: AuditEntry
    ) -> Override:
        """Let a challenger, or the champion whatever comes after it, decide for one tenant. `NotFound`, `Conflict`."""
        ...

    async def remove_override(self, tenant_id: TenantId, audit: AuditEntry) -> bool:
        """Back to the champion. False, and no audit entry, if there was none."""
        ...

    async def override(self, tenant_id: TenantId) -> Override | None: ...

    async def overrides(self, tenants: Collection[TenantId]) -> Mapping[TenantId, str]:
        """The version of each tenant that has one."""
        ...


class Backtests(Protocol):
    """Figures of versions on archived payments. `ModelRegistryUnavailable` (retry) when it does not answer."""

    async def add(self, version: str, backtest: Backtest, by: str, at: datetime, audit: AuditEntry) -> StoredBacktest:
        """Keep one more. `NotFound` without such a version."""
        ...

    async def newest(self, version: str, champion: str) -> StoredBacktest | None:
        """Of those against that champion."""
        ...

    async def page(self, version: str, before: int | None, limit: int) -> list[StoredBacktest]:
        """The newest first, of those with lower numbers."""
        ...


class Snapshots(NamedTuple):
    """A page of decisions: features and score of those by the version that was asked for; `last` seen, None if there are no more."""

    rows: Sequence[tuple[Sequence[float], float]]
    last: tuple[datetime, EventId] | None


class DriftStore(Protocol):
    """Decisions of before, read in pieces, and the reports on them. `DecisionStoreUnavailable` (retry) when it does not answer."""

    async def claim(self, at: datetime, every: timedelta) -> bool:
        """Whether it is this instance's turn: the last run began so long ago, and the next one began now."""
        ...

    async def snapshots(
        self, tenant_id: TenantId, version: str, since: datetime, before: tuple[datetime, EventId], limit: int
    ) -> Snapshots:
        """The newest first, before one that was seen."""
        ...

    async def matured(self, tenant_id: TenantId, version: str, since: datetime, until: datetime) -> Calibration:
        """What became of the version's decisions of a period; see `Calibration`."""
        ...

    async def save(self, tenant_id: TenantId, report: DriftReport) -> None:
        """In place of the tenant's report on that version."""
        ...

    async def report(self, tenant_id: TenantId, version: str) -> DriftReport | None: ...


class Tally(NamedTuple):
    """A cell of the comparison of a shadow with what was decided."""

    version: str
    against: str
    day: date
    decided: Outcome
    would: Outcome


class ShadowTallies(Protocol):
    """`ModelRegistryUnavailable` (retry) when it does not answer."""

    async def add(self, counted: Mapping[tuple[TenantId, Tally], int]) -> None:
        """Add payments to the cells of any tenants, in one transaction."""
        ...

    async def of(self, tenant_id: TenantId, version: str, since: date) -> Mapping[Tally, int]:
        """The cells of a version from a day on."""
        ...


class WhatIfModel(Model, Protocol):
    """A model that can be asked what else it would say."""

    def splits(self) -> Mapping[str, Sequence[float]]:
        """Of each feature that the model looks at, the thresholds at which its answer may change, ascending."""
        ...

    def scores(self, vectors: Sequence[Sequence[float]]) -> list[float]:
        """As `score`, without the explanations: many times faster."""
        ...


class ModelVersions(Protocol):
    """The models that decisions were made by."""

    async def get(self, version: str) -> WhatIfModel:
        """The model of this version, ready to score. `ModelVersionMissing` (stop), which names it, if it is not kept here."""
        ...


class DecisionStore(Protocol):
    """Decisions, one for each event for ever. `DecisionStoreUnavailable` (retry) when it does not answer."""

    async def register(self, card: ModelCard) -> None:
        """Keep the card of a model before the first decision by it."""
        ...

    async def find(self, tenant_id: TenantId, event_id: EventId) -> Decision | None: ...

    async def record(self, decision: Decision) -> Decision:
        """Store a decision and its announcement in one transaction; gives the decision that was first."""
        ...

    async def record_all(self, tenant_id: TenantId, decisions: Sequence[Decision]) -> list[Decision]:
        """As `record`, of different events of one tenant, all in one transaction; one answer each, in order."""
        ...

    def of_subject(
        self, tenant_id: TenantId, user_ids: Sequence[str], anonymous_ids: Sequence[str]
    ) -> AsyncIterator[Decision]:
        """All decisions about a person, by event id."""
        ...

    async def unobserved(
        self, tenant_id: TenantId, user_ids: Sequence[str], anonymous_ids: Sequence[str]
    ) -> list[Observation]:
        """The payments of a person that the histories do not have yet, in order of time; for data subjects."""
        ...

    async def newest(
        self, tenant_id: TenantId, since: datetime, before: tuple[datetime, EventId] | None, limit: int
    ) -> list[tuple[Decision, Thresholds]]:
        """Those made at `since` or later, newest first, after `before` (time and event of the last one seen).

        Each with the thresholds of its model, which a policy may have replaced.
        """
        ...


PutBack = Callable[[TenantId, Sequence[Unobserved]], Awaitable[None]]
"""Puts payments of a tenant into the histories."""


class UnobservedPayments(Protocol):
    """What the histories lack. `DecisionStoreUnavailable` (retry) when it does not answer."""

    async def take(self, limit: int, put_back: PutBack) -> int:
        """Give the oldest to `put_back` and forget them; if it raises they stay. Gives how many. Of several instances one does it."""
        ...

    async def waiting(self) -> int:
        """How many there are, of all tenants."""
        ...


class ImportedPayment(NamedTuple):
    """A payment of the past that was imported and is not decided."""

    event_id: EventId
    at: datetime


class ImportedPayments(Protocol):
    """Where imported payments are observed. `DecisionStoreUnavailable` (retry) when it does not answer."""

    def of_subject(self, tenant_id: TenantId, users: Sequence[str]) -> AsyncIterator[ImportedPayment]:
        """Those of a person (`Payment.user`), by event id."""
        ...

    async def forget(self, tenant_id: TenantId, until: datetime, limit: int) -> int:
        """The oldest of those that happened up to a time; gives how many were forgotten."""
        ...


class WaitingLabel(NamedTuple):
    """A label that found no payment. `place`: in the order in which they came."""

    place: int
    tenant_id: TenantId
    event_id: EventId
    since: datetime


class WaitingLabels(Protocol):
    """Labels whose payment is not known yet. `DecisionStoreUnavailable` (retry) when it does not answer."""

    async def page(self, after: int, limit: int) -> list[WaitingLabel]:
        """Of all tenants, those that came after a place."""
        ...

    async def observed(self, tenant_id: TenantId, event_ids: Sequence[EventId]) -> Mapping[EventId, Observed]:
        """Where those of the tenant's payments are observed that were decided or imported by now."""
        ...

    async def done(self, places: Sequence[int]) -> None:
        """They wait no longer."""
        ...

    async def waiting(self) -> int:
        """How many there are."""
        ...


class Deferred(NamedTuple):
    """A decision that waits for its explanation."""

    place: int
    tenant_id: TenantId
    event_id: EventId


class DeferredExplanations(Protocol):
    """Decisions that were made without their explanation. `DecisionStoreUnavailable` (retry) when it does not answer."""

    async def oldest(self, limit: int) -> list[Deferred]:
        """Of all tenants."""
        ...

    async def fill_in(self, deferred: Deferred, decision: Decision | None) -> None:
        """Store contributions and reason codes of the decision, unless it has them, and forget that it waits. None: there is none any more."""
        ...

    async def put_off(self, deferred: Deferred) -> None:
        """Behind all others: it cannot be explained now."""
        ...

    async def deferred(self) -> int:
        """How many wait."""
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
    reason_codes: tuple[str, ...] | None
    """None: the explanation is deferred."""


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


class ConditionFault(NamedTuple):
    """What is wrong with an expression, and where; line and column count from 1."""

    line: int
    column: int
    what: str


class Conditions(Protocol):
    """The language of the rules."""

    def compile(self, expression: str) -> Condition | ConditionFault:
        """The condition, checked against the types of what it sees, or its first fault. Never raises for a text."""
        ...

    def bind(self, facts: Facts) -> Bound:
        """Facts in the form that the conditions take. `ConditionFailed` if they have none."""
        ...


class PoliciesInForce(Protocol):
    """The approved policy of each tenant. `PolicyStoreUnavailable` (retry) when it is not known which one that is."""

    async def __call__(self, tenants: Collection[TenantId]) -> Mapping[TenantId, PolicyInForce]:
        """One for each of the tenants."""
        ...


Audited = Callable[[int], AuditEntry]
"""The audit entry of a change, made from the revision or version that the store gives to what it writes."""


class AuditLog(Protocol):
    """`AuditTrail` is one."""

    async def record(self, entry: AuditEntry) -> None:
        """`RetryError` when the log did not take it."""
        ...


class PolicyStore(Protocol):
    """Drafts and versions. Every change and its audit entry are one transaction. `PolicyStoreUnavailable` (retry)."""

    async def draft(self, tenant_id: TenantId) -> Draft | None: ...

    async def save_draft(self, tenant_id: TenantId, policy: Policy, editor: str, at: datetime, audit: Audited) -> Draft:
        """Replace the draft; `editor` joins those who wrote on it."""
        ...

    async def propose_draft(
        self, tenant_id: TenantId, revision: int, maker: str, note: str, at: datetime, audit: Audited
    ) -> PolicyVersion:
        """Make the draft, if it still is that revision, the tenant's proposal; the draft is then gone.

        `Conflict` if there is no such draft or another proposal waits.
        """
        ...

    async def propose(
        self, tenant_id: TenantId, policy: Policy, restores: int, maker: str, note: str, at: datetime, audit: Audited
    ) -> PolicyVersion:
        """The same of a policy that was in force before."""
        ...

    async def decide(
        self, tenant_id: TenantId, version: int, approved: bool, by: str, note: str, at: datetime, audit: Audited
    ) -> PolicyVersion:
        """Approve, which supersedes the one in force, or reject. `Conflict` if the version is not proposed (any more)."""
        ...

    async def version(self, tenant_id: TenantId, version: int) -> PolicyVersion | None: ...

    async def active(self, tenant_id: TenantId) -> PolicyVersion | None: ...

    async def versions(self, tenant_id: TenantId, before: int | None, limit: int) -> list[PolicyVersion]:
        """Newest first, without their documents."""
        ...

    async def active_versions(self, known: Mapping[TenantId, int]) -> Mapping[TenantId, tuple[int, Policy | None]]:
        """The version in force of each tenant (0: none), with its document where it is not the one that is known."""
        ...

    async def entries_of_subject(
        self, tenant_id: TenantId, subjects: Sequence[str]
    ) -> list[tuple[int, VersionState | None, str, Entry]]:
        """List entries that name a person: version (0: the draft), its state, which list, the entry; for data subjects."""
        ...
