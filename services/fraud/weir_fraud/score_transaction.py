"""Score a payment: features, probability, exact explanation, outcome; bounded in time and in number."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import structlog
from weir_common.problems import Unavailable
from weir_common.telemetry import meter, tracer

from weir_fraud.domain.decision import Decision, InexactExplanationError, decide, sigmoid
from weir_fraud.domain.features import feature_vector
from weir_fraud.domain.payment import Payment
from weir_fraud.ports import DecisionStore, HistoryStore, Model

log = structlog.get_logger(__name__)


class ScorePayments:
    """Features and model, without memory of decisions; used by the API for one and by the stream for a batch."""

    def __init__(self, histories: HistoryStore, model: Model) -> None:
        self._histories = histories
        self._model = model
        create = meter()
        self._feature_duration = create.create_histogram(
            "weir.fraud.features.duration", unit="s", description="Update and read of the features, one round trip"
        )
        self._inexact = create.create_counter(
            "weir.fraud.explanation.failures", unit="{decision}", description="Explanations that did not add up"
        )
        self._outcomes = create.create_counter(
            "weir.fraud.decisions", unit="{decision}", description="Decisions by outcome"
        )

    async def __call__(self, payments: Sequence[Payment]) -> list[tuple[Decision, list[float]]]:
        """A decision and its feature values a payment, in order.

        ``RetryError`` when the features cannot be read; ``InexactExplanationError`` when an explanation does not add up.
        """
        started = time.perf_counter()
        histories = await self._histories.observe(payments)
        self._feature_duration.record(time.perf_counter() - started)
        rows = [feature_vector(payment, seen) for payment, seen in zip(payments, histories, strict=True)]
        scores = self._model.score(rows)
        # About a millisecond a row, and the GIL is free meanwhile: not on the event loop.
        explained = await asyncio.to_thread(self._model.explain, rows)
        now, latency = datetime.now(UTC), time.perf_counter() - started
        decisions: list[tuple[Decision, list[float]]] = []
        for payment, values, score, (margin, contributions) in zip(payments, rows, scores, explained, strict=True):
            try:
                decision = decide(
                    payment,
                    values=values,
                    score=score,
                    contributions=contributions,
                    margin=margin,
                    thresholds=self._model.thresholds,
                    model_version=self._model.version,
                    decided_at=now,
                    latency_seconds=latency,
                )
            except InexactExplanationError:
                self._inexact.add(1)
                log.exception("explanation does not add up", score=score, expected=sigmoid(margin))
                raise
            self._outcomes.add(1, {"weir.fraud.outcome": decision.outcome, "weir.tenant.id": payment.tenant_id})
            decisions.append((decision, values))
        return decisions


class ScoreTransaction:
    """The use case of the API. A decision that was made is repeated, never contradicted."""

    def __init__(
        self, score: ScorePayments, decisions: DecisionStore, *, max_concurrent: int, deadline_seconds: float
    ) -> None:
        self._score = score
        self._decisions = decisions
        self._slots = max_concurrent
        self._deadline_seconds = deadline_seconds
        self._duration = meter().create_histogram(
            "weir.fraud.score.duration", unit="s", description="A decision from request to answer, explanation included"
        )

    async def __call__(self, payment: Payment) -> Decision:
        """``Unavailable`` when too many are being scored; ``TimeoutError`` after the deadline; ``RetryError`` from stores."""
        if self._slots <= 0:
            raise Unavailable("Too many payments are being scored at once; send it again.", slug="overloaded")
        self._slots -= 1
        started = time.perf_counter()
        try:
            with tracer().start_as_current_span("score transaction", attributes={"weir.tenant.id": payment.tenant_id}):
                async with asyncio.timeout(self._deadline_seconds):
                    known = await self._decisions.find(payment.tenant_id, payment.event_id)
                    if known is not None:
                        return known
                    ((decision, values),) = await self._score([payment])
                    return await self._decisions.save(payment, decision, values)
        finally:
            self._slots += 1
            self._duration.record(time.perf_counter() - started, {"weir.tenant.id": payment.tenant_id})
