"""A decision made again is the same to the last bit, and anything that changed in between is found."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import msgspec
import pytest
from weir_common.audit import AuditEntry
from weir_common.ids import EventId, TenantId
from weir_common.problems import NotFound
from weir_fraud.adapters.cel_conditions import CelConditions
from weir_fraud.adapters.memory_decisions import MemoryDecisions
from weir_fraud.adapters.memory_policies import MemoryPolicies
from weir_fraud.adapters.model_folder import ModelFolder
from weir_fraud.adapters.onnx_model import OnnxModel
from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.contributions import contributions_of
from weir_fraud.domain.decision import Decision, Source
from weir_fraud.domain.model import Scored, Thresholds
from weir_fraud.domain.outcome import Outcome
from weir_fraud.domain.payment import Payment
from weir_fraud.domain.policy import EntityKind, Entry, Policy, Rule
from weir_fraud.errors import ModelVersionMissing, PolicyVersionMissing
from weir_fraud.replay_decision import ReplayDecision
from weir_fraud.score_payments import ScorePayments

Make = Callable[..., Payment]


@pytest.fixture
def decisions() -> MemoryDecisions:
    return MemoryDecisions()


@pytest.fixture
def again(
    decisions: MemoryDecisions,
    policies: MemoryPolicies,
    conditions: CelConditions,
    model_dir: Path,
    catalogue: Catalogue,
) -> ReplayDecision:
    return ReplayDecision(decisions, policies, conditions, ModelFolder(model_dir, catalogue), catalogue)


async def in_force(policies: MemoryPolicies, tenant: TenantId, policy: Policy, at: datetime) -> None:
    def audited(number: int) -> AuditEntry:
        return AuditEntry(
            tenant_id=tenant, actor="ann", actor_kind="person", action="x", object_ref=f"{number}", outcome="success"
        )

    draft = await policies.save_draft(tenant, policy, "ann", at, audited)
    made = await policies.propose_draft(tenant, draft.revision, "ann", "", at, audited)
    await policies.decide(tenant, made.version, True, "bob", "", at, audited)


async def stored(
    score: ScorePayments, decisions: MemoryDecisions, payments: Sequence[Payment], source: Source = Source.STREAM
) -> list[Decision]:
    """As a store would give them: with the codes that were announced."""
    made = [replace(one, announced_codes=one.reason_codes) for one in await score(payments, source)]
    return [await decisions.record(one) for one in made]


async def test_what_was_decided_is_decided_again(
    again: ReplayDecision,
    score_payments: ScorePayments,
    decisions: MemoryDecisions,
    policies: MemoryPolicies,
    make_payment: Make,
    tenant: TenantId,
    clock: Callable[[], datetime],
) -> None:
    payments = [make_payment(after=20 * n, amount=str(1 + n * n), device=f"d{n % 3}") for n in range(20)]
    payments += [make_payment(amount=None, currency=None, user_id=None, device=None, latitude=None, declined=True)]
    made = await stored(score_payments, decisions, payments)
    rules = (
        Rule(name="broken", expression="1 / (hour - hour) == 1", action=Outcome.REVIEW, reason="r"),
        Rule(name="large", expression="has(features.amount) && amount > 50.0", action=Outcome.DECLINE, reason="r"),
    )
    denied = Entry(kind=EntityKind.DEVICE, protected=("d1", "d9"), reason="r")
    allowed = Entry(kind=EntityKind.USER, protected=("bob",), reason="r")
    policy = Policy(thresholds=Thresholds(review=0.2, decline=0.6), deny=(denied,), allow=(allowed,), rules=rules)
    await in_force(policies, tenant, policy, clock())
    more = [
        make_payment(after=2_000 + n, amount=str(40 + n), device=f"d{n % 3}", user_id="bob" if n == 2 else "ann")
        for n in range(15)
    ]
    made += await stored(score_payments, decisions, more)
    # They differ in all that can differ, or the comparison would show little.
    assert {one.policy_rule for one in made} == {None, "deny:device", "allow:user", "large"}
    assert {one.policy_version for one in made} == {0, 1}
    assert any(one.policy_errors for one in made)
    replays = [await again(tenant, one.event_id) for one in made]
    assert [found.differences for found in replays] == [[]] * len(made)
    assert all(found.identical and found.stored == found.recomputed for found in replays)
    assert [found.not_stored for found in replays] == [
        ("device",) if one.policy_rule == "deny:device" else () for one in made
    ]


def with_value(decision: Decision, feature: str, value: float) -> Decision:
    parts = [part._replace(value=value) if part.feature == feature else part for part in decision.contributions]
    return replace(decision, contributions=contributions_of(parts))


@pytest.mark.parametrize(
    ("change", "pointers"),
    [
        (lambda one: replace(one, score=math.nextafter(one.score, 1)), ["/score"]),
        (lambda one: replace(one, margin=math.nextafter(one.margin, 9)), ["/margin"]),
        (lambda one: replace(one, base=math.nextafter(one.base, 9)), ["/base_value"]),
        (lambda one: replace(one, outcome=Outcome.DECLINE), ["/outcome"]),
        (lambda one: replace(one, announced_codes=("CART",)), ["/reason_codes"]),
        (lambda one: replace(one, thresholds=Thresholds(review=0.3, decline=0.71)), ["/thresholds/decline"]),
        (lambda one: replace(one, policy_rule="large"), ["/policy_rule"]),
        (lambda one: replace(one, policy_errors=("broken",)), ["/policy_errors"]),
        (
            lambda one: replace(
                one,
                contributions=replace(
                    one.contributions,
                    shares=(math.nextafter(one.contributions.shares[0], 9), *one.contributions.shares[1:]),
                ),
            ),
            ["/contributions/"],
        ),
    ],
)
async def test_one_changed_bit_of_a_stored_decision_is_found(
    again: ReplayDecision,
    score_payments: ScorePayments,
    decisions: MemoryDecisions,
    make_payment: Make,
    tenant: TenantId,
    change: Callable[[Decision], Decision],
    pointers: list[str],
) -> None:
    (made,) = await score_payments([make_payment()], Source.GRPC)
    assert made.outcome is Outcome.REVIEW
    changed = change(replace(made, announced_codes=made.reason_codes))
    await decisions.record(changed)
    found = await again(tenant, made.event_id)
    assert not found.identical
    assert len(found.differences) == len(pointers)
    assert all(one.pointer.startswith(begin) for one, begin in zip(found.differences, pointers, strict=True))


async def test_a_changed_feature_value_is_found(
    again: ReplayDecision,
    score_payments: ScorePayments,
    decisions: MemoryDecisions,
    make_payment: Make,
    tenant: TenantId,
) -> None:
    """The snapshot is what the rest is made from: it is the score that then is another."""
    (made,) = await stored(score_payments, decisions, [make_payment()])
    changed = with_value(made, "amount", 400.0)
    other = replace(changed, event_id=EventId("6f1e2d3c-0a9b-4c8d-9e7f-112233445566"))
    await decisions.record(other)
    pointers = [one.pointer for one in (await again(tenant, other.event_id)).differences]
    assert {"/score", "/margin", "/contributions/amount"} <= set(pointers)


async def test_a_model_that_says_anything_else_is_found(
    score_payments: ScorePayments,
    decisions: MemoryDecisions,
    policies: MemoryPolicies,
    conditions: CelConditions,
    model: OnnxModel,
    catalogue: Catalogue,
    make_payment: Make,
    tenant: TenantId,
) -> None:
    class Other:
        card = model.card

        def score(self, vectors: Sequence[Sequence[float]]) -> list[Scored]:
            return [replace(one, margin=math.nextafter(one.margin, 9)) for one in model.score(vectors)]

    class Versions:
        async def get(self, version: str) -> Other:
            return Other()

    (made,) = await stored(score_payments, decisions, [make_payment()])
    again = ReplayDecision(decisions, policies, conditions, Versions(), catalogue)
    assert [one.pointer for one in (await again(tenant, made.event_id)).differences] == ["/margin"]


async def test_a_changed_threshold_of_the_model_is_found(
    again: ReplayDecision,
    score_payments: ScorePayments,
    decisions: MemoryDecisions,
    policies: MemoryPolicies,
    conditions: CelConditions,
    model_dir: Path,
    model: OnnxModel,
    catalogue: Catalogue,
    make_payment: Make,
    tenant: TenantId,
    tmp_path: Path,
) -> None:
    (made,) = await stored(score_payments, decisions, [make_payment()])
    for name in ("model.onnx", "model.txt"):
        (tmp_path / name).write_bytes((model_dir / name).read_bytes())
    card = msgspec.structs.replace(model.card, thresholds=Thresholds(review=0.0, decline=0.0001))
    (tmp_path / "model.json").write_bytes(msgspec.json.encode(card))
    other = ReplayDecision(decisions, policies, conditions, ModelFolder(tmp_path, catalogue), catalogue)
    pointers = [one.pointer for one in (await other(tenant, made.event_id)).differences]
    assert pointers == ["/model_outcome", "/outcome", "/thresholds/decline", "/thresholds/review"]


async def test_what_is_not_kept_is_named(
    again: ReplayDecision,
    score_payments: ScorePayments,
    decisions: MemoryDecisions,
    policies: MemoryPolicies,
    conditions: CelConditions,
    catalogue: Catalogue,
    make_payment: Make,
    tenant: TenantId,
    tmp_path: Path,
) -> None:
    made = await score_payments([make_payment(), make_payment(), make_payment()], Source.GRPC)
    await decisions.record(replace(made[0], model_version="fraud-0123456789ab"))
    await decisions.record(replace(made[1], policy_version=7))
    await decisions.record(made[2])
    with pytest.raises(ModelVersionMissing, match=r"fraud-0123456789ab is not kept here.*test-model"):
        await again(tenant, made[0].event_id)
    with pytest.raises(PolicyVersionMissing, match="Version 7"):
        await again(tenant, made[1].event_id)
    empty = ReplayDecision(decisions, policies, conditions, ModelFolder(tmp_path, catalogue), catalogue)
    with pytest.raises(ModelVersionMissing, match="test-model is not kept here"):
        await empty(tenant, made[2].event_id)
    with pytest.raises(NotFound):
        await again(TenantId("somebody-else"), made[2].event_id)
