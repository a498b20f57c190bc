"""What fraud needs from the outside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from weir_fraud.domain.decision import Decision, Thresholds
from weir_fraud.domain.history import Histories
from weir_fraud.domain.payment import Payment


class HistoryStore(Protocol):
    """The entities' recent payments."""

    async def observe(self, payments: Sequence[Payment]) -> list[Histories]:
        """Take payments in order and give what each saw, itself included: one atomic step a payment, one round trip in all.

        A payment taken before changes nothing and sees what it saw the first time. ``RetryError`` when the store is away.
        """
        ...


class Model(Protocol):
    """The served model and its exact explanation."""

    @property
    def version(self) -> str: ...

    @property
    def thresholds(self) -> Thresholds: ...

    def score(self, rows: Sequence[Sequence[float]]) -> list[float]:
        """Probability of fraud a row."""
        ...

    def explain(self, rows: Sequence[Sequence[float]]) -> list[tuple[float, list[float]]]:
        """(margin, contributions with the base value last) a row; about a millisecond each, releases the GIL."""
        ...


class DecisionStore(Protocol):
    """Decisions that were made."""

    async def find(self, tenant_id: str, event_id: str) -> Decision | None:
        """The decision on an event, or None. ``RetryError`` when the store is away."""
        ...

    async def save(self, payment: Payment, decision: Decision, values: Sequence[float]) -> Decision:
        """Keep a decision and announce it; if another was first, give that one."""
        ...
