"""Decide on one payment while its customer waits: bounded in time and in number, and the same answer when asked again."""

from __future__ import annotations

import asyncio
import time

from weir_common.problems import Unavailable
from weir_common.telemetry import tracer

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

    async def __call__(self, payment: Payment, source: Source, seconds: float | None = None) -> Decision:
        """The decision on the payment, made now or before; at most `seconds` and never longer than the limit.

        `TimeoutError` when the time is over, `Unavailable` when too many wait already, `RetryError` when a store is away.
        """
        if self._waiting >= self._limits.max_waiting:
            raise Unavailable("Too many payments wait to be scored.", slug="overloaded")
        started = time.perf_counter()
        limit = self._limits.deadline_seconds if seconds is None else min(seconds, self._limits.deadline_seconds)
        with tracer().start_as_current_span("fraud.score", attributes={"weir.tenant.id": payment.tenant_id}) as span:
            async with asyncio.timeout(limit):
                self._waiting += 1
                try:
                    await self._turn.acquire()
                finally:
                    self._waiting -= 1
                try:
                    (made,) = await self._score([payment], source)
                    decision = await self._decisions.record(made)
                finally:
                    self._turn.release()
            span.set_attribute("weir.fraud.outcome", decision.outcome.value)
        self._metrics.took(time.perf_counter() - started, source)
        if decision is made:
            self._metrics.made([made])
        return decision
