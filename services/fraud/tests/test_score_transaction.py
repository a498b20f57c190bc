from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import pytest
from weir_common.ids import TenantId
from weir_common.problems import Unavailable
from weir_fraud.active_policies import ActivePolicies
from weir_fraud.adapters.memory_decisions import MemoryDecisions
from weir_fraud.adapters.memory_features import MemoryFeatures
from weir_fraud.adapters.memory_models import OneModel
from weir_fraud.adapters.onnx_model import OnnxModel
from weir_fraud.decision_metrics import DecisionMetrics
from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.decision import Decision, Source
from weir_fraud.domain.history import Snapshot
from weir_fraud.domain.model import Scored
from weir_fraud.domain.payment import Payment
from weir_fraud.errors import FeatureStoreUnavailable
from weir_fraud.score_payments import ScorePayments
from weir_fraud.score_transaction import ScoreTransaction
from weir_fraud.settings import ScoringSettings

Make = Callable[..., Payment]


@pytest.fixture
def decisions() -> MemoryDecisions:
    return MemoryDecisions()


def use_case(score: ScorePayments, decisions: MemoryDecisions, **limits: float) -> ScoreTransaction:
    return ScoreTransaction(score, decisions, DecisionMetrics(), ScoringSettings(**limits))


async def decide_one(
    score: ScoreTransaction, payment: Payment, source: Source, seconds: float | None = None
) -> Decision:
    (decision,) = await score.together(payment.tenant_id, [payment], source, seconds)
    return decision


async def test_the_answer_is_the_same_when_asked_again_and_is_announced_once(
    score_payments: ScorePayments, decisions: MemoryDecisions, make_payment: Make
) -> None:
    score = use_case(score_payments, decisions)
    payment = make_payment()
    first = await decide_one(score, payment, Source.HTTP)
    # Another way in, another hour, another amount under the same event id: the first decision stands.
    assert await decide_one(score, payment, Source.GRPC) is first
    assert await decide_one(score, replace(payment, amount=Decimal(10**6)), Source.HTTP) is first
    assert decisions.announced == [first]


async def test_asked_twice_at_once_there_is_one_decision(
    score_payments: ScorePayments, decisions: MemoryDecisions, make_payment: Make
) -> None:
    score = use_case(score_payments, decisions)
    payment = make_payment()
    answers = await asyncio.gather(*(decide_one(score, payment, Source.HTTP) for _ in range(20)))
    assert all(answer is answers[0] for answer in answers)
    assert len(decisions.announced) == 1


async def test_a_decision_carries_what_it_was_made_on(
    score_payments: ScorePayments, decisions: MemoryDecisions, make_payment: Make, catalogue: Catalogue
) -> None:
    score = use_case(score_payments, decisions)
    for second in range(3):
        decision = await decide_one(score, make_payment(after=second), Source.HTTP)
    snapshot = {contribution.feature: contribution.value for contribution in decision.contributions}
    assert tuple(snapshot) == catalogue.names()
    assert snapshot["user_payment_count_1m"] == 3
    assert snapshot["user_payment_sum_1m"] == 30


class Slow(MemoryFeatures):
    """Answers when it is let to."""

    def __init__(self, catalogue: Catalogue) -> None:
        super().__init__(catalogue.plan)
        self.gate = asyncio.Event()
        self.cancelled = 0

    async def observe(self, payments: Sequence[Payment]) -> list[Snapshot]:
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return await super().observe(payments)


@pytest.fixture
def slow(catalogue: Catalogue) -> Slow:
    return Slow(catalogue)


@pytest.fixture
def slowly(
    slow: Slow, model: OnnxModel, catalogue: Catalogue, in_force: ActivePolicies, clock: Callable[[], datetime]
) -> ScorePayments:
    return ScorePayments(slow, OneModel(model), catalogue, in_force, clock)


async def test_a_deadline_ends_the_call_and_all_that_it_does(
    slow: Slow, slowly: ScorePayments, decisions: MemoryDecisions, make_payment: Make
) -> None:
    with pytest.raises(TimeoutError):
        await decide_one(use_case(slowly, decisions), make_payment(), Source.GRPC, 0.01)
    with pytest.raises(TimeoutError):
        await decide_one(use_case(slowly, decisions, deadline_seconds=0.01), make_payment(), Source.HTTP, 60)
    assert slow.cancelled == 2
    assert decisions.announced == []


async def test_cancellation_is_passed_on_and_frees_the_turn(
    slow: Slow, slowly: ScorePayments, decisions: MemoryDecisions, make_payment: Make
) -> None:
    score = use_case(slowly, decisions, max_concurrent=1)
    call = asyncio.create_task(decide_one(score, make_payment(), Source.HTTP))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert slow.cancelled == 1
    slow.gate.set()
    assert await decide_one(score, make_payment(), Source.HTTP)


async def test_too_many_calls_are_refused_at_once_and_the_others_take_turns(
    slow: Slow, slowly: ScorePayments, decisions: MemoryDecisions, make_payment: Make
) -> None:
    score = use_case(slowly, decisions, max_concurrent=2, max_waiting=3)
    calls = [asyncio.create_task(decide_one(score, make_payment(), Source.HTTP)) for _ in range(5)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(Unavailable) as refused:
        await decide_one(score, make_payment(), Source.HTTP)
    assert refused.value.slug == "overloaded"
    slow.gate.set()
    assert len({decision.event_id for decision in await asyncio.gather(*calls)}) == 5


async def test_without_features_nothing_is_decided(
    model: OnnxModel,
    catalogue: Catalogue,
    in_force: ActivePolicies,
    clock: Callable[[], datetime],
    decisions: MemoryDecisions,
    make_payment: Make,
) -> None:
    class Away(MemoryFeatures):
        async def observe(self, payments: Sequence[Payment]) -> list[Snapshot]:
            raise FeatureStoreUnavailable("away")

    score = use_case(ScorePayments(Away(catalogue.plan), OneModel(model), catalogue, in_force, clock), decisions)
    with pytest.raises(FeatureStoreUnavailable):
        await decide_one(score, make_payment(), Source.HTTP)
    assert decisions.announced == []


async def test_a_batch_is_decided_as_its_payments_one_by_one(
    model: OnnxModel,
    catalogue: Catalogue,
    in_force: ActivePolicies,
    clock: Callable[[], datetime],
    make_payment: Make,
) -> None:
    payments = [make_payment(after=second, amount=str(second + 1)) for second in range(10)]
    whole = ScorePayments(MemoryFeatures(catalogue.plan), OneModel(model), catalogue, in_force, clock)
    single = ScorePayments(MemoryFeatures(catalogue.plan), OneModel(model), catalogue, in_force, clock)
    together = await whole(payments, Source.STREAM)
    apart = [decision for payment in payments for decision in await single([payment], Source.STREAM)]
    assert [(d.event_id, d.score, d.margin) for d in together] == [(d.event_id, d.score, d.margin) for d in apart]
    assert await whole([], Source.STREAM) == []


async def test_a_batch_is_one_question_to_each_part(
    model: OnnxModel,
    catalogue: Catalogue,
    in_force: ActivePolicies,
    clock: Callable[[], datetime],
    make_payment: Make,
    tenant: TenantId,
) -> None:
    asked: list[str] = []

    class Counted(MemoryFeatures):
        async def observe(self, payments: Sequence[Payment]) -> list[Snapshot]:
            asked.append("features")
            return await super().observe(payments)

    class CountedModel:
        card = model.card

        def score(self, vectors: Sequence[Sequence[float]]) -> list[Scored]:
            asked.append("model")
            return model.score(vectors)

    class CountedDecisions(MemoryDecisions):
        async def record_all(self, tenant_id: TenantId, decisions: Sequence[Decision]) -> list[Decision]:
            asked.append("decisions")
            return await super().record_all(tenant_id, decisions)

    decisions = CountedDecisions()
    score = use_case(
        ScorePayments(Counted(catalogue.plan), OneModel(CountedModel()), catalogue, in_force, clock),
        decisions,
        max_concurrent=1,
    )
    payments = [make_payment(after=second) for second in range(100)]
    made = await score.batch(tenant, payments, Source.GRPC)
    assert asked == ["features", "model", "decisions"]
    assert [decision.event_id for decision in made] == [payment.event_id for payment in payments]
    assert decisions.announced == made
    assert await score.batch(tenant, [], Source.GRPC) == []


async def test_of_repeats_in_a_batch_the_first_is_decided_on(
    score_payments: ScorePayments, decisions: MemoryDecisions, make_payment: Make, tenant: TenantId
) -> None:
    score = use_case(score_payments, decisions)
    before = await decide_one(score, make_payment(), Source.HTTP)
    one, other = make_payment(after=1), make_payment(after=2)
    payments = [one, replace(one, amount=Decimal(10**6)), make_payment(event_id=before.event_id), other, one]
    answers = await score.batch(tenant, payments, Source.GRPC)
    assert answers[1] is answers[0] is answers[4]
    assert answers[2] is before
    assert decisions.announced == [before, answers[0], answers[3]]
    snapshot = {part.feature: part.value for part in answers[0].contributions}
    assert snapshot["amount"] == 10


async def test_a_batch_has_the_limits_of_one_call(
    slow: Slow, slowly: ScorePayments, decisions: MemoryDecisions, make_payment: Make, tenant: TenantId
) -> None:
    score = use_case(slowly, decisions, max_concurrent=1, max_waiting=1)
    batch = [make_payment(after=second) for second in range(5)]
    with pytest.raises(TimeoutError):
        await score.batch(tenant, batch, Source.GRPC, 0.01)
    assert slow.cancelled == 1
    calls = [asyncio.create_task(score.batch(tenant, batch, Source.GRPC)) for _ in range(2)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await score.batch(tenant, batch, Source.GRPC)
    slow.gate.set()
    first, second = await asyncio.gather(*calls)
    assert [one is other for one, other in zip(first, second, strict=True)] == [True] * 5
    assert len(decisions.announced) == 5
