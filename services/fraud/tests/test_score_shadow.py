"""A shadow sees what was decided, changes nothing, delays nothing, and is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import pytest
from weir_common.ids import TenantId
from weir_fraud.active_policies import ActivePolicies
from weir_fraud.adapters.memory_features import MemoryFeatures
from weir_fraud.adapters.memory_models import MemoryTallies, OneModel
from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.decision import Source
from weir_fraud.domain.outcome import Outcome
from weir_fraud.domain.policy import Policy, Rule
from weir_fraud.errors import ModelRegistryUnavailable
from weir_fraud.model_metrics import ModelMetrics
from weir_fraud.ports import Tally
from weir_fraud.score_payments import ScorePayments
from weir_fraud.score_shadow import ALL_TENANTS, ScoreShadow


class Counted(ModelMetrics):
    def __init__(self) -> None:
        super().__init__()
        self.lost: dict[str, int] = {}

    def dropped(self, count: int, why: str) -> None:
        self.lost[why] = self.lost.get(why, 0) + count


class Tallies(MemoryTallies):
    away = False

    async def add(self, counted: Mapping[tuple[TenantId, Tally], int]) -> None:
        if self.away:
            raise ModelRegistryUnavailable("away")
        await super().add(counted)


class Stand:
    def __init__(self, toys: Any, catalogue: Catalogue, in_force: ActivePolicies, clock: Any, room: int) -> None:
        self.toys = toys
        self.shadow: Any = toys.open(toys.files("shadow", 0.5))
        self.tallies, self.metrics = Tallies(), Counted()
        self.scores = ScoreShadow(lambda: self.shadow, self.tallies, catalogue, self.metrics, room=room)
        champion = OneModel(toys.open(toys.files("champion", 0.1)))
        self.score = ScorePayments(MemoryFeatures(catalogue.plan), champion, catalogue, in_force, clock, self.scores)

    async def works(self) -> None:
        """Until nothing waits; then it stops, which writes what was counted."""
        stop = asyncio.Event()
        task = asyncio.create_task(self.scores.run(stop))
        async with asyncio.timeout(10):
            while self.scores._queue.qsize():
                await asyncio.sleep(0.01)
        stop.set()
        await asyncio.wait_for(task, 5)


@pytest.fixture
def stand(toys: Any, catalogue: Catalogue, in_force: ActivePolicies, clock: Any) -> Stand:
    return Stand(toys, catalogue, in_force, clock, room=10)


async def test_each_decision_is_compared_once(stand: Stand, make_payment: Callable[..., Any], tenant: TenantId) -> None:
    payments = [make_payment(after=number) for number in range(3)]
    for batch in (payments[:2], payments):
        decisions = await stand.score(batch, Source.STREAM)
        assert {one.model_version for one in decisions} == {"champion"}
    await stand.works()
    cell = Tally("shadow", "champion", date(2026, 3, 4), Outcome.APPROVE, Outcome.REVIEW)
    for whose in (tenant, ALL_TENANTS):
        assert await stand.tallies.of(whose, "shadow", date(2026, 3, 4)) == {cell: 3}
    assert await stand.tallies.of(TenantId("other"), "shadow", date(2026, 3, 4)) == {}
    assert stand.metrics.lost == {}


async def test_what_there_is_no_room_for_is_dropped_and_counted(
    stand: Stand, make_payment: Callable[..., Any], tenant: TenantId
) -> None:
    decisions = await stand.score([make_payment(after=number) for number in range(25)], Source.STREAM)
    assert len(decisions) == 25
    assert stand.metrics.lost == {"full": 15}
    await stand.works()
    assert sum((await stand.tallies.of(tenant, "shadow", date(2026, 3, 4))).values()) == 10


async def test_without_a_shadow_nothing_is_kept(stand: Stand, make_payment: Callable[..., Any]) -> None:
    stand.shadow = None
    await stand.score([make_payment()], Source.HTTP)
    assert stand.scores._queue.empty()


async def test_a_shadow_that_fails_harms_nobody(stand: Stand, make_payment: Callable[..., Any]) -> None:
    class Broken:
        card = stand.shadow.card

        def score(self, vectors: Any) -> Any:
            raise ZeroDivisionError

    stand.shadow = Broken()
    assert len(await stand.score([make_payment()], Source.HTTP)) == 1
    await stand.works()
    assert stand.metrics.lost == {"failed": 1}


async def test_what_cannot_be_written_is_written_later(
    stand: Stand, make_payment: Callable[..., Any], tenant: TenantId
) -> None:
    stand.tallies.away = True
    await stand.score([make_payment()], Source.HTTP)
    await stand.works()
    assert await stand.tallies.of(tenant, "shadow", date(2026, 3, 4)) == {}
    stand.tallies.away = False
    await stand.scores.flush()
    await stand.scores.flush()
    assert list((await stand.tallies.of(tenant, "shadow", date(2026, 3, 4))).values()) == [1]


async def test_the_policy_applies_to_the_shadow_too(
    stand: Stand, make_payment: Callable[..., Any], tenant: TenantId, policies: Any
) -> None:
    rule = Rule(name="one", expression="score > 0.4", action=Outcome.DECLINE, reason="r")
    at = make_payment().at
    draft = await policies.save_draft(tenant, Policy(rules=(rule,)), "ann", at, lambda _: stand.toys.entry("x"))
    made = await policies.propose_draft(tenant, draft.revision, "ann", "", at, lambda _: stand.toys.entry("x"))
    await policies.decide(tenant, made.version, True, "bob", "", at, lambda _: stand.toys.entry("x"))
    await stand.score([make_payment()], Source.HTTP)
    await stand.works()
    (tally,) = await stand.tallies.of(tenant, "shadow", date(2026, 3, 4))
    assert (tally.decided, tally.would) == (Outcome.APPROVE, Outcome.DECLINE)
