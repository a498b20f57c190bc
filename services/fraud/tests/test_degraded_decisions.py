"""When a part fails a payment is decided all the same, says how, and nothing is lost for the histories."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException
from weir.fraud.v1 import fraud_pb2
from weir_common.audit import AuditEntry
from weir_common.ids import TenantId
from weir_common.problems import Unavailable
from weir_fraud.active_policies import ActivePolicies
from weir_fraud.adapters.cel_conditions import CelConditions
from weir_fraud.adapters.decision_record import decision_record
from weir_fraud.adapters.memory_cases import MemoryCases
from weir_fraud.adapters.memory_decisions import MemoryDecisions
from weir_fraud.adapters.memory_features import MemoryFeatures
from weir_fraud.adapters.memory_models import OneModel
from weir_fraud.adapters.memory_policies import MemoryPolicies
from weir_fraud.adapters.model_folder import ModelFolder
from weir_fraud.adapters.onnx_model import OnnxModel
from weir_fraud.ask_in_time import AskInTime
from weir_fraud.decision_metrics import DecisionMetrics
from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.decision import Decision, Source
from weir_fraud.domain.degradation import Degraded
from weir_fraud.domain.history import Histories, Snapshot
from weir_fraud.domain.label import Label, LabelKind, LabelSource
from weir_fraud.domain.model import Scored, Thresholds
from weir_fraud.domain.outcome import Outcome
from weir_fraud.domain.payment import LABEL_FRAUD, Payment, known_user, observation_of, unpack
from weir_fraud.domain.policy import Policy, Rule
from weir_fraud.entrypoints.documents import decision_document
from weir_fraud.entrypoints.grpc import decision_message
from weir_fraud.errors import ExplanationError, FeatureStoreUnavailable, ModelVersionMissing
from weir_fraud.explain_later import ExplainLater
from weir_fraud.observe_later import ObserveLater
from weir_fraud.ports import Model, ModelVersions
from weir_fraud.replay_decision import ReplayDecision
from weir_fraud.score_payments import ScorePayments, WithoutFeatures
from weir_fraud.score_transaction import ScoreTransaction
from weir_fraud.settings import ScoringSettings

Make = Callable[..., Payment]


async def decide_one(score: ScoreTransaction, payment: Payment, source: Source) -> Decision:
    (decision,) = await score.together(payment.tenant_id, [payment], source)
    return decision


class Away(MemoryFeatures):
    """Away while `is_away`."""

    is_away = True

    async def observe(self, payments: Sequence[Payment]) -> list[Snapshot]:
        if self.is_away:
            raise FeatureStoreUnavailable("away")
        return await super().observe(payments)


class Stand:
    """Fraud with everything in memory; histories that may be away."""

    def __init__(
        self,
        catalogue: Catalogue,
        model: OnnxModel,
        stand_in: OnnxModel,
        in_force: ActivePolicies,
        clock: Callable[[], datetime],
    ) -> None:
        self.features = Away(catalogue.plan)
        self.decisions = MemoryDecisions()
        ask = AskInTime(self.features, seconds=1, failures=1_000, pause_seconds=1)
        without = WithoutFeatures(ask, stand_in, Outcome.REVIEW)
        self.score_payments = ScorePayments(
            self.features, OneModel(model), catalogue, in_force, clock, without_features=without
        )
        self.score = ScoreTransaction(self.score_payments, self.decisions, DecisionMetrics(), ScoringSettings())
        self.cases = MemoryCases(self.decisions)
        self.later = ObserveLater(self.decisions, self.features, self.cases)


@pytest.fixture
def stand(
    catalogue: Catalogue,
    model: OnnxModel,
    stand_in: OnnxModel,
    in_force: ActivePolicies,
    clock: Callable[[], datetime],
) -> Stand:
    return Stand(catalogue, model, stand_in, in_force, clock)


async def test_without_histories_the_request_only_model_decides_and_says_so(
    stand: Stand, make_payment: Make, stand_in: OnnxModel, catalogue: Catalogue
) -> None:
    decision = await decide_one(stand.score, make_payment(), Source.HTTP)
    assert decision.degraded == (Degraded.FEATURES_UNAVAILABLE,)
    assert decision.model_version == stand_in.card.version
    assert decision.thresholds == stand_in.card.thresholds
    assert [part.feature for part in decision.contributions] == list(stand_in.card.features)
    assert not any(catalogue[name].aggregates for name in stand_in.card.features)
    assert stand.decisions.announced == [decision]


async def test_such_a_payment_is_not_approved_by_its_score_alone(stand: Stand, make_payment: Make) -> None:
    made = [await decide_one(stand.score, make_payment(amount=f"{n}.00"), Source.GRPC) for n in range(0, 40, 2)]
    assert {one.model_outcome for one in made} >= {Outcome.APPROVE, Outcome.DECLINE}
    assert Outcome.APPROVE not in {one.outcome for one in made}
    assert all(one.outcome is one.model_outcome for one in made if one.model_outcome is not Outcome.APPROVE)
    assert {one.least_outcome for one in made} == {Outcome.REVIEW}


async def approve(policies: MemoryPolicies, tenant: TenantId, policy: Policy, at: datetime) -> None:
    def audited(number: int) -> AuditEntry:
        return AuditEntry(
            tenant_id=tenant, actor="ann", actor_kind="person", action="x", object_ref=f"{number}", outcome="success"
        )

    draft = await policies.save_draft(tenant, policy, "ann", at, audited)
    made = await policies.propose_draft(tenant, draft.revision, "ann", "", at, audited)
    await policies.decide(tenant, made.version, True, "bob", "", at, audited)


async def test_a_tenant_says_what_is_let_through_and_a_replay_gives_the_same_bytes(
    stand: Stand,
    make_payment: Make,
    policies: MemoryPolicies,
    conditions: CelConditions,
    catalogue: Catalogue,
    model_dir: Path,
    tenant: TenantId,
    clock: Callable[[], datetime],
) -> None:
    small = Rule(
        name="small-without-histories",
        expression="'features_unavailable' in degraded && amount < 5.0",
        action=Outcome.APPROVE,
        reason="a small loss",
    )
    # Thresholds for the scores of another model: they would decline everything.
    strict = Thresholds(review=1e-9, decline=2e-9)
    before = [await decide_one(stand.score, make_payment(amount="4.00"), Source.HTTP)]
    await approve(policies, tenant, Policy(rules=(small,), thresholds=strict), clock())
    made = [await decide_one(stand.score, make_payment(amount=amount), Source.HTTP) for amount in ("4.00", "6.00")]
    assert [one.outcome for one in before + made] == [Outcome.REVIEW, Outcome.APPROVE, Outcome.REVIEW]
    stand.features.is_away = False
    made.append(await decide_one(stand.score, make_payment(amount="4.00"), Source.HTTP))
    assert (made[-1].outcome, made[-1].degraded) == (Outcome.DECLINE, ())
    again = ReplayDecision(stand.decisions, policies, conditions, ModelFolder(model_dir, catalogue), catalogue)
    for one in before + made:
        found = await again(tenant, one.event_id)
        assert found.identical, found.differences


async def test_the_stream_waits_for_the_histories(stand: Stand, make_payment: Make) -> None:
    with pytest.raises(FeatureStoreUnavailable):
        await stand.score_payments([make_payment()], Source.STREAM)


async def test_a_batch_is_answered_too_and_asked_again_it_is_the_same(
    stand: Stand, make_payment: Make, tenant: TenantId
) -> None:
    payments = [make_payment(after=second) for second in range(7)]
    first = await decide_one(stand.score, payments[3], Source.HTTP)
    made = await stand.score.batch(tenant, payments, Source.GRPC)
    assert all(one.degraded == (Degraded.FEATURES_UNAVAILABLE,) for one in made)
    assert made[3] is first
    stand.features.is_away = False
    assert await stand.score.batch(tenant, payments, Source.GRPC) == made
    assert await stand.decisions.waiting() == 7


async def test_the_histories_are_whole_afterwards(
    stand: Stand, make_payment: Make, catalogue: Catalogue, tenant: TenantId
) -> None:
    """As if nothing had failed: the next payment has the features of the offline computation over all payments."""
    payments = [make_payment(after=30 * n, amount=str(n + 1), device=f"d{n % 3}") for n in range(30)]
    for place, payment in enumerate(payments):
        stand.features.is_away = 10 <= place < 20
        await decide_one(stand.score, payment, Source.GRPC)
    assert await stand.decisions.waiting() == 10
    assert len(await stand.decisions.unobserved(tenant, ["ann"], [])) == 10
    assert await stand.decisions.unobserved(tenant, ["bob"], ["ann"]) == []
    assert not await stand.later.apply()
    assert await stand.decisions.waiting() == 0
    assert await stand.decisions.unobserved(tenant, ["ann"], []) == []
    reference = Histories(catalogue.plan)
    for payment in payments:
        reference.observe(observation_of(payment))
    later = make_payment(after=1_000)
    (snapshot,) = await stand.features.observe([later])
    assert [repr(value) for value in snapshot] == [repr(value) for value in reference.observe(observation_of(later))]


async def test_what_became_known_meanwhile_is_known_afterwards(
    stand: Stand, make_payment: Make, tenant: TenantId, clock: Callable[[], datetime]
) -> None:
    decision = await decide_one(stand.score, make_payment(), Source.GRPC)
    async with stand.cases.work(tenant) as work:
        await work.add_labels(
            [
                Label(
                    tenant_id=tenant,
                    event_id=decision.event_id,
                    kind=LabelKind.CHARGEBACK,
                    occurred_at=clock(),
                    recorded_at=clock(),
                    recorded_by="key:shop",
                    source=LabelSource.FEEDBACK,
                )
            ]
        )
    await stand.later.apply()
    packed = await stand.features.history(tenant, [known_user("ann")])
    assert unpack(packed).label == LABEL_FRAUD


async def test_what_cannot_be_put_back_stays(stand: Stand, make_payment: Make) -> None:
    await decide_one(stand.score, make_payment(), Source.GRPC)

    class Still:
        async def restore(self, *_: object) -> None:
            raise FeatureStoreUnavailable("still away")

    later = ObserveLater(stand.decisions, Still(), stand.cases)  # type: ignore[arg-type]
    with pytest.raises(FeatureStoreUnavailable):
        await later.apply()
    assert await stand.decisions.waiting() == 1


class Breaks:
    """A model that was loaded well and fails afterwards, on every payment or on large ones."""

    def __init__(self, model: OnnxModel, version: str, fault: Exception, from_amount: float = 0.0) -> None:
        self.card = msgspec.structs.replace(model.card, version=version)
        self._model = model
        self._fault = fault
        self._from_amount = from_amount
        self._amount = model.card.features.index("amount")

    def score(self, vectors: Sequence[Sequence[float]]) -> list[Scored]:
        if any(vector[self._amount] >= self._from_amount for vector in vectors):
            raise self._fault
        return self._model.score(vectors)


FAULTS = (ExplanationError("does not add up"), RuntimeException("onnx"), MemoryError(), ValueError("any"))


@pytest.fixture
def with_models(
    catalogue: Catalogue, in_force: ActivePolicies, clock: Callable[[], datetime]
) -> Callable[..., tuple[ScorePayments, MemoryDecisions, ScoreTransaction]]:
    def made(*models: Model) -> tuple[ScorePayments, MemoryDecisions, ScoreTransaction]:
        score = ScorePayments(MemoryFeatures(catalogue.plan), OneModel(*models), catalogue, in_force, clock)
        decisions = MemoryDecisions()
        return score, decisions, ScoreTransaction(score, decisions, DecisionMetrics(), ScoringSettings())

    return made


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("source", Source)
async def test_a_model_that_breaks_leaves_its_payments_to_the_one_before(
    with_models: Callable[..., tuple[ScorePayments, MemoryDecisions, ScoreTransaction]],
    model: OnnxModel,
    make_payment: Make,
    fault: Exception,
    source: Source,
) -> None:
    broken = Breaks(model, "broken", fault, from_amount=100)
    score, _, _ = with_models(broken, Breaks(model, "before", fault), broken, model)
    small, large = make_payment(amount="99"), make_payment(amount="100", after=1)
    (well,) = await score([small], source)
    assert (well.model_version, well.degraded) == ("broken", ())
    (fallen,) = await score([large], source)
    assert (fallen.model_version, fallen.degraded) == (model.card.version, (Degraded.MODEL_FALLBACK,))
    # By a whole model on whole features: the thresholds' outcome stands.
    assert (fallen.outcome, fallen.least_outcome) == (fallen.model_outcome, Outcome.APPROVE)
    assert len(fallen.reasons) > 1


async def test_if_all_models_break_nothing_is_decided(
    with_models: Callable[..., tuple[ScorePayments, MemoryDecisions, ScoreTransaction]],
    model: OnnxModel,
    make_payment: Make,
) -> None:
    first, second = Breaks(model, "first", ExplanationError("first")), Breaks(model, "second", ValueError("second"))
    _, decisions, score = with_models(first, second)
    with pytest.raises(ExplanationError, match="first"):
        await decide_one(score, make_payment(), Source.HTTP)
    assert decisions.announced == []


async def test_a_model_that_breaks_while_the_histories_are_away_is_not_replaced_by_one_that_asks_for_them(
    stand: Stand,
    catalogue: Catalogue,
    model: OnnxModel,
    stand_in: OnnxModel,
    in_force: ActivePolicies,
    clock: Callable[[], datetime],
    make_payment: Make,
) -> None:
    ask = AskInTime(stand.features, seconds=1, failures=1_000, pause_seconds=1)
    without = WithoutFeatures(ask, Breaks(stand_in, "broken", ValueError("x")), Outcome.REVIEW)  # type: ignore[arg-type]
    score = ScorePayments(stand.features, OneModel(model, model), catalogue, in_force, clock, without_features=without)
    with pytest.raises(ValueError, match="x"):
        await score([make_payment()], Source.HTTP)


class Overloaded:
    """Fraud whose histories answer when the gate is open, and so many wait."""

    def __init__(self, catalogue: Catalogue, model: OnnxModel, in_force: ActivePolicies, clock: Any) -> None:
        self.gate = gate = asyncio.Event()

        class Slow(MemoryFeatures):
            async def observe(self, payments: Sequence[Payment]) -> list[Snapshot]:
                await gate.wait()
                return await super().observe(payments)

        self.catalogue = catalogue
        self.decisions = MemoryDecisions()
        score = ScorePayments(Slow(catalogue.plan), OneModel(model), catalogue, in_force, clock)
        limits = ScoringSettings(max_concurrent=1, max_waiting=5, max_waiting_explained=2)
        self.score = ScoreTransaction(score, self.decisions, DecisionMetrics(), limits)

    async def decided(self, payments: Sequence[Payment]) -> list[Decision]:
        calls = [asyncio.create_task(decide_one(self.score, payment, Source.HTTP)) for payment in payments]
        await asyncio.sleep(0.01)
        assert not self.score.is_at_ease
        with pytest.raises(Unavailable):
            await decide_one(self.score, payments[0], Source.HTTP)
        self.gate.set()
        return await asyncio.gather(*calls)

    def later(self, models: ModelVersions, has_room: Callable[[], bool] = lambda: True) -> ExplainLater:
        return ExplainLater(self.decisions, self.decisions, models, self.catalogue, has_room)


@pytest.fixture
def overloaded(
    catalogue: Catalogue, model: OnnxModel, in_force: ActivePolicies, clock: Callable[[], datetime]
) -> Overloaded:
    return Overloaded(catalogue, model, in_force, clock)


async def test_overload_puts_explanations_off_before_it_refuses_and_fills_them_in(
    overloaded: Overloaded,
    make_payment: Make,
    catalogue: Catalogue,
    model_dir: Path,
    policies: MemoryPolicies,
    conditions: CelConditions,
    tenant: TenantId,
) -> None:
    made = await overloaded.decided([make_payment(after=second) for second in range(6)])
    # The first had nobody behind it when its turn came; of the others those that saw more than two behind them are not explained.
    assert [one.is_explained for one in made] == [True, False, False, True, True, True]
    flags = [one.degraded for one in made]
    assert flags == [() if one.is_explained else (Degraded.EXPLANATION_DEFERRED,) for one in made]
    short = made[1]
    assert [part.feature for part in short.contributions] == list(catalogue.names())
    assert all(math.isnan(part.contribution) for part in short.contributions)
    document = decision_document(short)
    assert document["explanation"] == "deferred"
    assert (document["reason_codes"], document["reasons"]) == (None, None)
    assert {part["contribution"] for part in document["contributions"]} == {None}
    message = decision_message(short)
    assert message.explanation == fraud_pb2.EXPLANATION_DEFERRED
    assert not message.contributions
    record = msgspec.json.decode(decision_record(short, None).value)
    assert (record["explanation"], record["degraded"]) == ("deferred", ["explanation_deferred"])

    again = ReplayDecision(overloaded.decisions, policies, conditions, ModelFolder(model_dir, catalogue), catalogue)
    assert (await again(tenant, short.event_id)).identical

    assert await overloaded.decisions.deferred() == 2
    later = overloaded.later(ModelFolder(model_dir, catalogue))
    assert not await later.apply()
    assert await overloaded.decisions.deferred() == 0
    for one in made[1:3]:
        whole = await overloaded.decisions.find(tenant, one.event_id)
        assert whole is not None
        assert whole.is_explained
        assert (whole.score, whole.margin, whole.base, whole.outcome) == (one.score, one.margin, one.base, one.outcome)
        # It still tells how it was made.
        assert whole.degraded == (Degraded.EXPLANATION_DEFERRED,)
        assert whole.base + math.fsum(part.contribution for part in whole.contributions) == pytest.approx(whole.margin)
        assert decision_document(whole)["explanation"] == "complete"
        assert whole.reasons
        assert (await again(tenant, one.event_id)).identical


async def test_a_batch_is_put_off_as_one_call_is(overloaded: Overloaded, make_payment: Make, tenant: TenantId) -> None:
    calls = [
        asyncio.create_task(
            overloaded.score.batch(tenant, [make_payment(after=3 * n + k) for k in range(3)], Source.GRPC)
        )
        for n in range(5)
    ]
    await asyncio.sleep(0.01)
    overloaded.gate.set()
    made = await asyncio.gather(*calls)
    assert [{one.is_explained for one in batch} for batch in made] == [{True}, {False}, {True}, {True}, {True}]
    assert await overloaded.decisions.deferred() == 3


async def test_explanations_wait_for_room(
    overloaded: Overloaded, make_payment: Make, model_dir: Path, catalogue: Catalogue
) -> None:
    await overloaded.decided([make_payment(after=second) for second in range(6)])
    later = overloaded.later(ModelFolder(model_dir, catalogue), has_room=lambda: False)
    assert not await later.apply()
    assert await overloaded.decisions.deferred() == 2


@pytest.mark.parametrize("fault", [None, *FAULTS], ids=lambda fault: type(fault).__name__)
async def test_what_the_model_says_otherwise_now_or_not_at_all_is_not_filled_in(
    overloaded: Overloaded, make_payment: Make, model: OnnxModel, tenant: TenantId, fault: Exception | None
) -> None:
    made = await overloaded.decided([make_payment(after=second) for second in range(6)])

    class Drifted:
        async def get(self, version: str) -> Any:
            if version != model.card.version:
                raise ModelVersionMissing(version)
            return self

        def score(self, vectors: Sequence[Sequence[float]]) -> list[Scored]:
            if fault is not None:
                raise fault
            return [replace(one, margin=math.nextafter(one.margin, 9)) for one in model.score(vectors)]

    first, second = await overloaded.decisions.oldest(5)
    assert not await overloaded.later(Drifted()).apply()
    left = await overloaded.decisions.oldest(5)
    assert [one.event_id for one in left] == [first.event_id, second.event_id]
    assert left[0].place > second.place
    kept = await overloaded.decisions.find(tenant, made[1].event_id)
    assert kept is not None
    assert not kept.is_explained
