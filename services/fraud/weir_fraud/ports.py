"""What fraud needs from the outside. Each has a real adapter and a fake, which pass the same contract tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from weir_common.audit import AuditEntry
from weir_common.ids import EventId, TenantId

from weir_fraud.domain.decision import Decision
from weir_fraud.domain.history import Snapshot
from weir_fraud.domain.model import ModelCard, Scored, Thresholds
from weir_fraud.domain.payment import Payment
from weir_fraud.domain.policy import Draft, Entry, Policy, PolicyVersion, VersionState
from weir_fraud.domain.policy_judgement import Bound, Condition, Facts, PolicyInForce


class FeatureStore(Protocol):
    """The online histories. `FeatureStoreUnavailable` (retry) when it does not answer."""

    async def observe(self, payments: Sequence[Payment]) -> list[Snapshot]:
        """Add each payment, in order, to the histories of its entities, and give its aggregates; one round trip.

        A repeat within the life of its snapshot adds nothing and gives the first answer again; later it adds nothing either.
        """
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

    async def register(self, card: ModelCard) -> None:
        """Keep the card of a model before the first decision by it."""
        ...

    async def find(self, tenant_id: TenantId, event_id: EventId) -> Decision | None: ...

    async def record(self, decision: Decision) -> Decision:
        """Store a decision and its announcement in one transaction; gives the decision that was first."""
        ...

    def of_subject(
        self, tenant_id: TenantId, user_ids: Sequence[str], anonymous_ids: Sequence[str]
    ) -> AsyncIterator[Decision]:
        """All decisions about a person, by event id."""
        ...

    async def newest(
        self, tenant_id: TenantId, since: datetime, before: tuple[datetime, EventId] | None, limit: int
    ) -> list[tuple[Decision, Thresholds]]:
        """Those made at `since` or later, newest first, after `before` (time and event of the last one seen).

        Each with the thresholds of its model, which a policy may have replaced.
        """
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
