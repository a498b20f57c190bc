"""Features, model and decision of payments: what the API does for one and the stream for many."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import structlog
from weir_common.telemetry import meter, span_if_sampled

from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.decision import Decision, Source, decide
from weir_fraud.domain.degradation import Degraded
from weir_fraud.domain.history import Snapshot
from weir_fraud.domain.model import Scored
from weir_fraud.domain.outcome import Outcome
from weir_fraud.domain.payment import Payment
from weir_fraud.errors import ExplanationError
from weir_fraud.let_others import let_others
from weir_fraud.ports import FeaturesInTime, FeatureStore, HaltsInForce, Model, ModelsInForce, PoliciesInForce
from weir_fraud.score_shadow import Decided, ScoreShadow

log = structlog.get_logger(__name__)

INLINE: Final = 2
"""So many payments are scored on the event loop: 0.3 ms each, less than a thread costs under load. More go to a thread."""

RULES_A_STEP: Final = 10
"""After so many payments of a batch the others of the loop have their turn: fifty rules take 0.2 ms a payment."""

TELL_AGAIN_SECONDS: Final = 60.0
"""A model that fails on every payment is logged once in so long; the metric counts each."""


class _Answer(NamedTuple):
    """Which model said what, on what."""

    model: Model
    vector: list[float]
    scored: Scored
    degraded: frozenset[Degraded]


@dataclass(frozen=True, slots=True)
class WithoutFeatures:
    """How a caller's payment is decided when the histories do not answer."""

    ask: FeaturesInTime
    model: Model
    """Of features of the request alone."""
    least: Outcome
    """What the thresholds' outcome is raised to: such a decision is weaker than the one that the tenant counts on."""


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
        without_features: WithoutFeatures | None = None,
        halts: HaltsInForce | None = None,
    ) -> None:
        """`without_features`: how who waits is answered when the histories are not. Without it nobody is."""
        self._features = features
        self._models = models
        self._catalogue = catalogue
        self._policies = policies
        self._clock = clock
        self._shadow = shadow
        self._without_features = without_features
        self._halts = halts
        self._model_duration = meter().create_histogram(
            "weir.fraud.model.duration", unit="s", description="Score and explanation of a batch, waiting included"
        )
        self._told: dict[str, float] = {}
        self._fallbacks = meter().create_counter(
            "weir.fraud.model.fallbacks",
            unit="{payment}",
            description="Payments that their model failed on, so that another was asked; by the version that failed",
        )
        self._inexact = meter().create_counter(
            "weir.fraud.explanation.failures", unit="{decision}", description="Explanations that did not add up"
        )

    async def __call__(self, payments: Sequence[Payment], source: Source, *, explain: bool = True) -> list[Decision]:
        """One decision a payment, in order; without `explain` the explanations are deferred.

        `ExplanationError` (stop) if no model has an answer that its explanation explains.

        `FeatureStoreUnavailable`, `PolicyStoreUnavailable`, `ModelRegistryUnavailable`, `DecisionStoreUnavailable` (retry).
        """
        if not payments:
            return []
        arrived = time.perf_counter()
        # The model is asked for once a payment and kept to its decision, whatever is promoted meanwhile.
        models = await self._models({payment.tenant_id for payment in payments})
        degraded: set[Degraded] = set() if explain else {Degraded.EXPLANATION_DEFERRED}
        least = Outcome.APPROVE
        # On the stream nobody waits: it gets the error and asks again.
        without = None if source is Source.STREAM else self._without_features
        snapshots = await (self._features.observe(payments) if without is None else without.ask(payments))
        if snapshots is None and without is not None:
            models = dict.fromkeys(models, without.model)
            degraded.add(Degraded.FEATURES_UNAVAILABLE)
            least = without.least
        snapshots = snapshots or [()] * len(payments)
        scored = await self._scored([models[payment.tenant_id] for payment in payments], payments, snapshots, explain)
        # As late as possible: a policy that was approved meanwhile is in force.
        policies = await self._policies({payment.tenant_id for payment in payments})
        halted = frozenset() if self._halts is None else await self._halts(policies)
        latency = timedelta(seconds=time.perf_counter() - arrived)
        now = self._clock()
        decisions: list[Decision] = []
        for payment, one in zip(payments, scored, strict=True):
            if len(decisions) % RULES_A_STEP == RULES_A_STEP - 1:
                await let_others()
            decisions.append(
                decide(
                    payment,
                    one.vector,
                    one.scored,
                    card=one.model.card,
                    catalogue=self._catalogue,
                    decided_at=now,
                    latency=latency,
                    source=source,
                    policy=policies[payment.tenant_id],
                    degraded=degraded | one.degraded,
                    least=least,
                    declines_halted=payment.tenant_id in halted,
                )
            )
        # Of a payment without its features no shadow can say what it would have done.
        if self._shadow is not None and Degraded.FEATURES_UNAVAILABLE not in degraded:
            self._shadow.offer(
                [
                    Decided(payment, snapshot, decision, policies[payment.tenant_id])
                    for payment, snapshot, decision in zip(payments, snapshots, decisions, strict=True)
                ]
            )
        return decisions

    async def _scored(
        self, models: Sequence[Model], payments: Sequence[Payment], snapshots: Sequence[Snapshot], explain: bool
    ) -> list[_Answer]:
        """Of each payment by its own model, or by one instead of it; those of one model together."""
        places: dict[int, list[int]] = {}
        for place, model in enumerate(models):
            places.setdefault(id(model), []).append(place)
        answers: dict[int, _Answer] = {}
        for of_one in places.values():
            found = await self._by(
                models[of_one[0]],
                [payments[place] for place in of_one],
                [snapshots[place] for place in of_one],
                explain,
            )
            answers |= zip(of_one, found, strict=True)
        return [answers[place] for place in range(len(payments))]

    async def _by(
        self, model: Model, payments: Sequence[Payment], snapshots: Sequence[Snapshot], explain: bool
    ) -> list[_Answer]:
        """By the model; if it fails by the first of those instead of it that does not. If all fail, what the model failed with."""
        try:
            return await self._answers(model, payments, snapshots, explain)
        except Exception as error:
            for instead in self._models.instead_of(model):
                # One that stands in for the histories has none to ask for.
                if any(self._catalogue[name].aggregates for name in instead.card.features) and not snapshots[0]:
                    continue
                self._fell_back(model, instead, error, len(payments))
                try:
                    return await self._answers(instead, payments, snapshots, explain, Degraded.MODEL_FALLBACK)
                except Exception as fault:  # noqa: BLE001 - as above
                    log.error("a model failed", version=instead.card.version, reason=repr(fault))
            raise

    async def _answers(
        self,
        model: Model,
        payments: Sequence[Payment],
        snapshots: Sequence[Snapshot],
        explain: bool,
        *degraded: Degraded,
    ) -> list[_Answer]:
        vectors = [
            self._catalogue.vector(payment, snapshot, model.card.features)
            for payment, snapshot in zip(payments, snapshots, strict=True)
        ]
        scores = await self._score(model, vectors, explain)
        return [
            _Answer(model, vector, score, frozenset(degraded)) for vector, score in zip(vectors, scores, strict=True)
        ]

    def _fell_back(self, model: Model, instead: Model, error: Exception, payments: int) -> None:
        broken = model.card.version
        self._fallbacks.add(payments, {"weir.fraud.model": broken})
        now = time.monotonic()
        if now - self._told.get(broken, -TELL_AGAIN_SECONDS) >= TELL_AGAIN_SECONDS:
            self._told[broken] = now
            log.error(
                "a model failed; another decides", version=broken, instead=instead.card.version, reason=repr(error)
            )

    async def _score(self, model: Model, vectors: Sequence[Sequence[float]], explain: bool) -> list[Scored]:
        began = time.perf_counter()
        ask = model.score if explain else model.unexplained
        with span_if_sampled("fraud.model", {"weir.fraud.payments": len(vectors)}):
            try:
                if len(vectors) <= INLINE:
                    answers = ask(vectors)
                else:
                    answers = await asyncio.to_thread(ask, vectors)
            except ExplanationError:
                self._inexact.add(1, {"weir.fraud.model": model.card.version})
                raise
        self._model_duration.record(time.perf_counter() - began)
        return answers
