"""What fraud needs from the outside. Each has a real adapter and a fake, which pass the same contract tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from weir_common.ids import EventId, TenantId

from weir_fraud.domain.decision import Decision
from weir_fraud.domain.history import Snapshot
from weir_fraud.domain.model import ModelCard, Scored
from weir_fraud.domain.payment import Known, Observed, Payment


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
