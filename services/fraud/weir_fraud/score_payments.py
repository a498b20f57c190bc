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
from weir_fraud.domain.history import Snapshot
from weir_fraud.domain.model import Scored
from weir_fraud.domain.payment import Payment
from weir_fraud.errors import ExplanationError
from weir_fraud.ports import FeatureStore, HaltsInForce, Model, ModelsInForce, PoliciesInForce
from weir_fraud.score_shadow import Decided, ScoreShadow

INLINE: Final = 2
"""So many payments are scored on the event loop: 0.3 ms each, less than a thread costs under load. More go to a thread."""

RULES_A_STEP: Final = 10
"""After so many payments of a batch the others of the loop have their turn: fifty rules take 0.2 ms a payment."""


class ScorePayments:
    """Decides; remembers nothing but the histories of the feature store."""

    def __init__(
        self,
        features: FeatureStore,
        models: ModelsInForce,
        catalogue: Catalogue,
        policies: PoliciesInForce,
        clock: Callable[[], datetime],
        shadow: ScoreShadow | None = None,
        halts: HaltsInForce | None = None,
    ) -> None:
        self._features = features
        self._models = models
        self._catalogue = catalogue
        self._policies = policies
        self._clock = clock
        self._shadow = shadow
        self._halts = halts
        self._model_duration = meter().create_histogram(
            "weir.fraud.model.duration", unit="s", description="Score and explanation of a batch, waiting included"
        )
        self._inexact = meter().create_counter(
            "weir.fraud.explanation.failures", unit="{decision}", description="Explanations that did not add up"
        )

    async def __call__(self, payments: Sequence[Payment], source: Source) -> list[Decision]:
        """One decision a payment, in order. `ExplanationError` (stop).

        `FeatureStoreUnavailable`, `PolicyStoreUnavailable`, `ModelRegistryUnavailable`, `DecisionStoreUnavailable` (retry).
        """
        if not payments:
            return []
        arrived = time.perf_counter()
        # The model is asked for once a payment and kept to its decision, whatever is promoted meanwhile.
        models = await self._models({payment.tenant_id for payment in payments})
        snapshots = await self._features.observe(payments)
        scored = await self._scored([models[payment.tenant_id] for payment in payments], payments, snapshots)
        # As late as possible: a policy that was approved meanwhile is in force.
        policies = await self._policies({payment.tenant_id for payment in payments})
        halted = frozenset() if self._halts is None else await self._halts(policies)
        latency = timedelta(seconds=time.perf_counter() - arrived)
        now = self._clock()
        decisions: list[Decision] = []
        for payment, (vector, score) in zip(payments, scored, strict=True):
            if len(decisions) % RULES_A_STEP == RULES_A_STEP - 1:
                await asyncio.sleep(0)
            decisions.append(
                decide(
                    payment,
                    vector,
                    score,
                    card=models[payment.tenant_id].card,
                    catalogue=self._catalogue,
                    decided_at=now,
                    latency=latency,
                    source=source,
                    policy=policies[payment.tenant_id],
                    declines_halted=payment.tenant_id in halted,
                )
            )
        if self._shadow is not None:
            self._shadow.offer(
                [
                    Decided(payment, snapshot, decision, policies[payment.tenant_id])
                    for payment, snapshot, decision in zip(payments, snapshots, decisions, strict=True)
                ]
            )
        return decisions

    async def _scored(
        self, models: Sequence[Model], payments: Sequence[Payment], snapshots: Sequence[Snapshot]
    ) -> list[tuple[list[float], Scored]]:
        """The vector and the score of each payment by its own model; those of one model together."""
        vectors = [
            self._catalogue.vector(payment, snapshot, model.card.features)
            for model, payment, snapshot in zip(models, payments, snapshots, strict=True)
        ]
        places: dict[int, list[int]] = {}
        for place, model in enumerate(models):
            places.setdefault(id(model), []).append(place)
        scores: dict[int, Scored] = {}
        for of_one in places.values():
            answers = await self._score(models[of_one[0]], [vectors[place] for place in of_one])
            scores |= zip(of_one, answers, strict=True)
        return [(vector, scores[place]) for place, vector in enumerate(vectors)]

    async def _score(self, model: Model, vectors: Sequence[Sequence[float]]) -> list[Scored]:
        began = time.perf_counter()
        with tracer().start_as_current_span("fraud.model", attributes={"weir.fraud.payments": len(vectors)}):
            try:
                if len(vectors) <= INLINE:
                    answers = model.score(vectors)
                else:
                    answers = await asyncio.to_thread(model.score, vectors)
            except ExplanationError:
                self._inexact.add(1, {"weir.fraud.model": model.card.version})
                raise
        self._model_duration.record(time.perf_counter() - began)
        return answers
