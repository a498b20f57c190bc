"""Features, model and decision of payments: what the API does for one and the stream for many."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from weir_common.telemetry import meter, tracer

from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.decision import Decision, Source, decide
from weir_fraud.domain.payment import Payment
from weir_fraud.errors import ExplanationError
from weir_fraud.ports import FeatureStore, Model, PoliciesInForce

INLINE: Final = 2
"""So many payments are scored on the event loop: 0.3 ms each, less than a thread costs under load. More go to a thread."""

RULES_A_STEP: Final = 10
"""After so many payments of a batch the others of the loop have their turn: fifty rules take 0.2 ms a payment."""


class ScorePayments:
    """Decides; remembers nothing but the histories of the feature store."""

    def __init__(
        self,
        features: FeatureStore,
        model: Model,
        catalogue: Catalogue,
        policies: PoliciesInForce,
        clock: Callable[[], datetime],
    ) -> None:
        self._features = features
        self._model = model
        self._catalogue = catalogue
        self._policies = policies
        self._clock = clock
        self._model_duration = meter().create_histogram(
            "weir.fraud.model.duration", unit="s", description="Score and explanation of a batch, waiting included"
        )
        self._inexact = meter().create_counter(
            "weir.fraud.explanation.failures", unit="{decision}", description="Explanations that did not add up"
        )

    async def __call__(self, payments: Sequence[Payment], source: Source) -> list[Decision]:
        """One decision a payment, in order. `FeatureStoreUnavailable`, `PolicyStoreUnavailable` (retry), `ExplanationError` (stop)."""
        if not payments:
            return []
        arrived = time.perf_counter()
        names = self._model.card.features
        snapshots = await self._features.observe(payments)
        vectors = [
            self._catalogue.vector(payment, snapshot, names)
            for payment, snapshot in zip(payments, snapshots, strict=True)
        ]
        began = time.perf_counter()
        with tracer().start_as_current_span("fraud.model", attributes={"weir.fraud.payments": len(payments)}):
            try:
                if len(payments) <= INLINE:
                    scores = self._model.score(vectors)
                else:
                    scores = await asyncio.to_thread(self._model.score, vectors)
            except ExplanationError:
                self._inexact.add(1, {"weir.fraud.model": self._model.card.version})
                raise
        self._model_duration.record(time.perf_counter() - began)
        # As late as possible: a policy that was approved meanwhile is in force.
        policies = await self._policies({payment.tenant_id for payment in payments})
        latency = timedelta(seconds=time.perf_counter() - arrived)
        now = self._clock()
        decisions: list[Decision] = []
        for payment, vector, scored in zip(payments, vectors, scores, strict=True):
            if len(decisions) % RULES_A_STEP == RULES_A_STEP - 1:
                await asyncio.sleep(0)
            decisions.append(
                decide(
                    payment,
                    vector,
                    scored,
                    card=self._model.card,
                    catalogue=self._catalogue,
                    decided_at=now,
                    latency=latency,
                    source=source,
                    policy=policies[payment.tenant_id],
                )
            )
        return decisions
