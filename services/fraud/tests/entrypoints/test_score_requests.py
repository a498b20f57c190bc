from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import pytest
from weir_common.ids import TenantId
from weir_common.privacy.bootstrap import vault_in_memory
from weir_common.problems import InvalidRequest, Unavailable
from weir_fraud.active_policies import ActivePolicies
from weir_fraud.adapters.memory_decisions import MemoryDecisions
from weir_fraud.adapters.memory_features import MemoryFeatures
from weir_fraud.adapters.memory_models import OneModel
from weir_fraud.adapters.onnx_model import OnnxModel
from weir_fraud.admission import Admission
from weir_fraud.decision_metrics import DecisionMetrics
from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.decision import Decision, Source
from weir_fraud.domain.history import Snapshot
from weir_fraud.domain.payment import Payment
from weir_fraud.entrypoints.documents import EVENT_EXAMPLE
from weir_fraud.entrypoints.score_requests import Request, ScoreRequests
from weir_fraud.entrypoints.scoring_request import event_of
from weir_fraud.score_payments import ScorePayments
from weir_fraud.score_transaction import ScoreTransaction
from weir_fraud.settings import ScoringSettings

A, B = TenantId("shop-a"), TenantId("shop-b")


def body(event_id: str | None = None, tenant: TenantId = A, **data: Any) -> bytes:
    event: dict[str, Any] = json.loads(json.dumps(EVENT_EXAMPLE))["event"]
    event["tenant_id"] = tenant
    event["event_metadata"] |= {"event_id": event_id or str(uuid.uuid4()), "timestamp": "2026-03-04T11:59:59Z"}
    event["event_data"] |= data
    return json.dumps(event).encode()


class Counter:
    """Requests whose histories answer when they are let to, and what was asked of the parts."""

    def __init__(
        self,
        model: OnnxModel,
        catalogue: Catalogue,
        in_force: ActivePolicies,
        clock: Callable[[], datetime],
        **limits: float,
    ) -> None:
        self.gate = gate = asyncio.Event()
        self.observed: list[list[str]] = []
        self.recorded: list[int] = []
        self.broken: str | None = None
        counter = self

        class Slow(MemoryFeatures):
            async def observe(self, payments: Sequence[Payment]) -> list[Snapshot]:
                counter.observed.append([payment.event_id for payment in payments])
                await gate.wait()
                if counter.broken in counter.observed[-1]:
                    raise ValueError("this one breaks it")
                return await super().observe(payments)

        class Counted(MemoryDecisions):
            async def record(self, decision: Decision) -> Decision:
                counter.recorded.append(1)
                return await super().record(decision)

            async def record_all(self, tenant_id: TenantId, decisions: Sequence[Decision]) -> list[Decision]:
                counter.recorded.append(len(decisions))
                return [await MemoryDecisions.record(self, decision) for decision in decisions]

        self.decisions = Counted()
        settings, metrics = ScoringSettings(**limits), DecisionMetrics()
        score = ScorePayments(Slow(catalogue.plan), OneModel(model), catalogue, in_force, clock)
        transaction = ScoreTransaction(score, self.decisions, metrics, settings)
        self.ask = ScoreRequests(
            transaction, vault_in_memory().protect, Admission(settings), clock, metrics, settings, Source.GRPC, _told
        )

    async def __call__(self, content: bytes, tenant: TenantId = A, seconds: float | None = None) -> Decision:
        with self.ask.admitted(seconds):
            return await self.ask(tenant, Request(lambda: event_of(content)), seconds)

    async def answers(self, calls: Sequence[asyncio.Task[Decision]]) -> list[Decision | BaseException]:
        """Of calls that have all come before any of them is worked on to its end."""
        await asyncio.sleep(0.05)
        self.gate.set()
        return list(await asyncio.gather(*calls, return_exceptions=True))


def _told(decision: Decision) -> Decision:
    return decision


Make = Callable[..., Counter]


@pytest.fixture
def make(model: OnnxModel, catalogue: Catalogue, in_force: ActivePolicies, clock: Callable[[], datetime]) -> Make:
    return lambda **limits: Counter(model, catalogue, in_force, clock, **limits)


async def test_what_waits_is_decided_together_and_each_gets_its_own(make: Make) -> None:
    counter = make(max_pieces=1, max_together=4)
    ids = [str(uuid.uuid4()) for _ in range(6)]
    # The third is another tenant's, with the event id of the second; the sixth repeats the second.
    asked = [(ids[0], A), (ids[1], A), (ids[1], B), (ids[2], A), (ids[3], A), (ids[1], A), (ids[4], A)]
    calls = [asyncio.create_task(counter(body(one, tenant), tenant)) for one, tenant in asked]
    made = await counter.answers(calls)
    assert [(one.event_id, one.tenant_id) for one in made if isinstance(one, Decision)] == asked
    assert made[5] is made[1]
    assert counter.observed == [[ids[0]], [ids[1], ids[2], ids[3]], [ids[1]], [ids[4]]]
    assert counter.recorded == [1, 3, 1, 1]
    assert len(counter.decisions.announced) == 6


async def test_a_refused_request_is_told_why_and_the_others_are_decided(make: Make) -> None:
    counter = make(max_pieces=1)
    contents = [body(), body(), body(event_type="page_view"), b"{", body()]
    made = await counter.answers([asyncio.create_task(counter(content)) for content in contents])
    assert [type(one) for one in made] == [Decision, Decision, InvalidRequest, InvalidRequest, Decision]
    refused = made[2]
    assert isinstance(refused, InvalidRequest)
    assert refused.errors[0].pointer.endswith("event_type")
    assert [len(events) for events in counter.observed] == [1, 2]


async def test_what_breaks_the_work_of_all_breaks_its_own_only(make: Make) -> None:
    counter = make(max_pieces=1)
    counter.broken = str(uuid.uuid4())
    contents = [body(), body(), body(counter.broken), body()]
    made = await counter.answers([asyncio.create_task(counter(content)) for content in contents])
    assert [type(one) for one in made] == [Decision, Decision, ValueError, Decision]


async def test_each_has_its_own_deadline(make: Make) -> None:
    counter = make(max_pieces=1)
    calls = [asyncio.create_task(counter(body(), seconds=seconds)) for seconds in (0.02, 5, 0.02, 5)]
    made = await counter.answers(calls)
    assert [type(one) for one in made] == [TimeoutError, Decision, TimeoutError, Decision]


async def test_explanations_are_put_off_when_many_are_inside(make: Make) -> None:
    counter = make(max_pieces=1, max_together=3, max_waiting_explained=2)
    made = await counter.answers([asyncio.create_task(counter(body())) for _ in range(7)])
    # Six others are inside when the first is decided, three beside the next three, and nobody beside the last.
    assert [one.is_explained for one in made if isinstance(one, Decision)] == [*[False] * 4, *[True] * 3]


async def test_who_could_not_be_answered_in_time_does_not_come_in(make: Make) -> None:
    counter = make(max_pieces=1, max_waiting=2)
    made = await counter.answers([asyncio.create_task(counter(body())) for _ in range(3)])
    assert [type(one) for one in made] == [Decision, Decision, Unavailable]
    assert isinstance(await counter(body()), Decision)
    assert counter.ask.is_at_ease
