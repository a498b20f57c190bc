"""Decide on payments while their customers wait: bounded in time and in number, and the same answer when asked again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from weir_common.ids import EventId, TenantId
from weir_common.problems import Unavailable
from weir_common.telemetry import span_if_sampled

from weir_fraud.decision_metrics import DecisionMetrics
from weir_fraud.domain.decision import Decision, Source
from weir_fraud.domain.payment import Payment
from weir_fraud.ports import DecisionStore
from weir_fraud.score_payments import ScorePayments
from weir_fraud.settings import ScoringSettings


class ScoreTransaction:
    """The use case behind HTTP and gRPC. A cancelled call stops where it is; what it did is a no-op when repeated."""

    def __init__(
        self, score: ScorePayments, decisions: DecisionStore, metrics: DecisionMetrics, limits: ScoringSettings
    ) -> None:
        self._score = score
        self._decisions = decisions
        self._metrics = metrics
        self._limits = limits
        self._turn = asyncio.Semaphore(limits.max_concurrent)
        self._waiting = 0

    async def batch(
        self, tenant_id: TenantId, payments: Sequence[Payment], source: Source, seconds: float | None = None
    ) -> list[Decision]:
        """The decisions on a tenant's payments, made now or before, in order; at most `seconds` and never longer than the limit.

        One turn, one round trip to each store, one call of the model. Of payments with the same event id the first is decided on, and the
        others get its decision. `TimeoutError` when the time is over, `Unavailable` when too many wait already, `RetryError` when a store
        is away.
        """
        started = time.perf_counter()
        with span_if_sampled("fraud.score_batch", {"weir.tenant.id": tenant_id, "weir.fraud.payments": len(payments)}):
            decisions = await self.together(tenant_id, payments, source, seconds)
        self._metrics.took_batch(time.perf_counter() - started, source)
        return decisions

    async def together(
        self,
        tenant_id: TenantId,
        payments: Sequence[Payment],
        source: Source,
        seconds: float | None = None,
        *,
        explain: bool = True,
    ) -> list[Decision]:
        """As `batch`, of payments that came one by one; without `explain` their explanations are put off."""
        if not payments:
            return []
        self._refuse_what_is_too_much()
        first: dict[EventId, Payment] = {}
        for payment in payments:
            first.setdefault(payment.event_id, payment)
        async with self._a_turn(seconds):
            made = await self._score(list(first.values()), source, explain=explain and self._has_room())
            if len(made) == 1:
                decisions = [await self._decisions.record(made[0])]
            else:
                decisions = await self._decisions.record_all(tenant_id, made)
        self._metrics.made([decision for decision, ours in zip(decisions, made, strict=True) if decision is ours])
        by_event = {decision.event_id: decision for decision in decisions}
        return [by_event[payment.event_id] for payment in payments]

    @property
    def is_at_ease(self) -> bool:
        """Whether nobody waits for a turn: then there is room for what was put off."""
        return self._waiting == 0

    def _has_room(self) -> bool:
        """Whether there is room for explanations: the cheapest to do without, since they can be made later from what is stored."""
        return self._waiting <= self._limits.max_waiting_explained

    def _refuse_what_is_too_much(self) -> None:
        if self._waiting >= self._limits.max_waiting:
            raise Unavailable("Too many payments wait to be scored.", slug="overloaded")

    @asynccontextmanager
    async def _a_turn(self, seconds: float | None) -> AsyncIterator[None]:
        """Work among at most so many calls as the limit allows; waiting for it is a part of the time that there is."""
        limit = self._limits.deadline_seconds if seconds is None else min(seconds, self._limits.deadline_seconds)
        async with asyncio.timeout(limit):
            self._waiting += 1
            try:
                await self._turn.acquire()
            finally:
                self._waiting -= 1
            try:
                yield
            finally:
                self._turn.release()
