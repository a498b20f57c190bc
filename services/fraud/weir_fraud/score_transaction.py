"""Decide on payments while their customers wait: bounded in time and in number, and the same answer when asked again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

from weir_common.ids import EventId, TenantId
from weir_common.problems import Unavailable
from weir_common.telemetry import is_sampled, span_if_sampled

from weir_fraud.admission import Admission
from weir_fraud.decision_metrics import DecisionMetrics
from weir_fraud.domain.decision import Decision, Source
from weir_fraud.domain.payment import Payment
from weir_fraud.ports import DecisionStore
from weir_fraud.score_payments import ScorePayments
from weir_fraud.settings import ScoringSettings
from weir_fraud.together import Together


class _Key(NamedTuple):
    """Calls that may be decided on together: those of one tenant by one way in, unless one is to be alone."""

    tenant_id: TenantId
    source: Source
    alone: Hashable = None


class ScoreTransaction:
    """The use case behind HTTP and gRPC. A cancelled call stops where it is; what it did is a no-op when repeated."""

    def __init__(
        self, score: ScorePayments, decisions: DecisionStore, metrics: DecisionMetrics, limits: ScoringSettings
    ) -> None:
        self._score = score
        self._decisions = decisions
        self._metrics = metrics
        self._limits = limits
        self._admission = Admission(limits)
        self._together: Together[_Key, Sequence[Payment], list[Decision]] = Together(
            self._decide, at_once=limits.max_concurrent, most=limits.max_together
        )

    def admitted(self, seconds: float | None = None, payments: int = 1) -> AbstractContextManager[None]:
        """For an edge: what it does for a call of so many payments, from before it reads them until it has answered.

        `Unavailable` at once, before any work, for one that could not be answered in time.
        """
        return self._admission(seconds, payments)

    async def __call__(self, payment: Payment, source: Source, seconds: float | None = None) -> Decision:
        """The decision on the payment, made now or before; at most `seconds` and never longer than the limit.

        `TimeoutError` when the time is over, `Unavailable` when too many wait already, `RetryError` when a store is away.
        """
        started = time.perf_counter()
        # One whose trace is recorded goes alone: the spans are then of its own work, and its record carries its own trace.
        alone = object() if is_sampled() else None
        with span_if_sampled("fraud.score", {"weir.tenant.id": payment.tenant_id}) as span:
            (decision,) = await self._in_time(_Key(payment.tenant_id, source, alone), [payment], seconds)
            span.set_attribute("weir.fraud.outcome", decision.outcome.value)
        self._metrics.took(time.perf_counter() - started, source)
        return decision

    async def batch(
        self, tenant_id: TenantId, payments: Sequence[Payment], source: Source, seconds: float | None = None
    ) -> list[Decision]:
        """As for each of the tenant's payments in order, but together: one turn, one round trip to each store, one call of the model.

        One answer a payment. Of payments with the same event id the first is decided on, and the others get its decision.
        """
        if not payments:
            return []
        started = time.perf_counter()
        with span_if_sampled("fraud.score_batch", {"weir.tenant.id": tenant_id, "weir.fraud.payments": len(payments)}):
            decisions = await self._in_time(_Key(tenant_id, source, object()), payments, seconds)
        self._metrics.took_batch(time.perf_counter() - started, source)
        return decisions

    @property
    def is_at_ease(self) -> bool:
        """Whether nobody waits for a turn: then there is room for what was put off."""
        return self._together.waiting == 0

    async def _in_time(self, key: _Key, payments: Sequence[Payment], seconds: float | None) -> list[Decision]:
        """Work among at most so many as the limit allows; waiting for it is a part of the time that there is."""
        limit = self._limits.deadline_seconds if seconds is None else min(seconds, self._limits.deadline_seconds)
        if self._together.waiting >= self._limits.max_waiting:
            raise Unavailable("Too many payments wait to be scored.", slug="overloaded")
        async with asyncio.timeout(limit):
            return await self._together(key, payments)

    async def _decide(self, key: _Key, calls: Sequence[Sequence[Payment]]) -> list[list[Decision]]:
        """The decisions on each call's payments."""
        first: dict[EventId, Payment] = {}
        for payments in calls:
            for payment in payments:
                first.setdefault(payment.event_id, payment)
        # The cheapest to do without, since explanations can be made later from what is stored.
        behind = max(self._together.waiting + len(calls) - 1, self._admission.inside - len(first))
        made = await self._score(list(first.values()), key.source, explain=behind <= self._limits.max_waiting_explained)
        if len(made) == 1:
            decisions = [await self._decisions.record(made[0])]
        else:
            decisions = await self._decisions.record_all(key.tenant_id, made)
        self._metrics.made([decision for decision, ours in zip(decisions, made, strict=True) if decision is ours])
        if len(calls) > 1:
            self._metrics.together(len(calls))
        by_event = {decision.event_id: decision for decision in decisions}
        return [[by_event[payment.event_id] for payment in payments] for payments in calls]
