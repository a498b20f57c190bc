"""The same tests for what drift reads and keeps, in memory and in PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest
from weir_common.ids import EventId, TenantId
from weir_common.postgres import tenant_transaction
from weir_fraud.adapters.memory_drift import MemoryDrift
from weir_fraud.adapters.onnx_model import OnnxModel
from weir_fraud.adapters.postgres_decisions import PostgresDecisions
from weir_fraud.adapters.postgres_drift import PostgresDrift
from weir_fraud.adapters.postgres_labels import insert_labels
from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.decision import Decision, Source
from weir_fraud.domain.drift import Calibration, drift_report
from weir_fraud.domain.label import Label, LabelKind, LabelSource
from weir_fraud.domain.outcome import Outcome
from weir_fraud.domain.payment import Payment
from weir_fraud.domain.replay import vector_of
from weir_fraud.score_payments import ScorePayments

DAY = timedelta(days=1)
LAST = EventId("ffffffff-ffff-ffff-ffff-ffffffffffff")


class Kept:
    """A store, and how decisions and labels come into it."""

    def __init__(self, store: Any, decisions: PostgresDecisions | None, pool: asyncpg.Pool | None) -> None:
        self.store = store
        self._decisions = decisions
        self._pool = pool

    async def decided(self, decision: Decision) -> None:
        if self._decisions is None:
            self.store.decisions.append(decision)
        else:
            await self._decisions.record(decision)

    async def turn_back(self, at: datetime) -> None:
        """The last run began then."""
        if self._pool is not None:
            async with self._pool.acquire(timeout=5) as connection:
                await connection.execute("UPDATE fraud.drift_run SET began_at = $1", at)

    async def labelled(self, label: Label) -> None:
        if self._pool is None:
            self.store.labels.append(label)
        else:
            async with tenant_transaction(self._pool, label.tenant_id) as connection:
                await insert_labels(connection, label.tenant_id, [label])


@pytest.fixture
async def postgres(pool: asyncpg.Pool, catalogue: Catalogue, model: OnnxModel) -> Kept:
    decisions = PostgresDecisions(pool, catalogue, lambda: None)
    await decisions.register(model.card)
    return Kept(PostgresDrift(pool), decisions, pool)


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.integration)])
def kept(request: pytest.FixtureRequest) -> Kept:
    return Kept(MemoryDrift(), None, None) if request.param == "memory" else request.getfixturevalue("postgres")


@pytest.fixture
async def template(score_payments: ScorePayments, make_payment: Callable[..., Payment]) -> Decision:
    (decision,) = await score_payments([make_payment(country=None, latitude=None)], Source.GRPC)
    return decision


def another(template: Decision, age: timedelta, **members: Any) -> Decision:
    at = template.decided_at - age
    return replace(template, event_id=EventId(str(uuid.uuid4())), decided_at=at, **members)


async def test_snapshots_come_in_pages_the_newest_first(kept: Kept, template: Decision) -> None:
    now, tenant = template.decided_at, template.tenant_id
    made = [another(template, timedelta(hours=n), score=n / 10) for n in range(1, 6)]
    for decision in [
        *made,
        another(template, DAY),
        another(replace(template, tenant_id=TenantId(f"{tenant}-other")), DAY / 2),
    ]:
        await kept.decided(decision)
    version, since = template.model_version, now - timedelta(hours=5)
    first = await kept.store.snapshots(tenant, version, since, (now, LAST), 3)
    assert [score for _, score in first.rows] == [0.1, 0.2, 0.3]
    assert first.last == (made[2].decided_at, made[2].event_id)
    rest = await kept.store.snapshots(tenant, version, since, first.last, 3)
    assert ([score for _, score in rest.rows], rest.last) == ([0.4, 0.5], None)
    # nan is not equal to itself
    assert [repr(value) for value in rest.rows[0][0]] == [repr(value) for value in vector_of(template)]
    none = await kept.store.snapshots(tenant, "another", since, (now, LAST), 3)
    assert (list(none.rows), none.last) == ([], first.last)


async def test_what_matured_is_judged_by_the_label_that_counts(kept: Kept, template: Decision) -> None:
    now, tenant = template.decided_at, template.tenant_id
    approve = [another(template, 2 * DAY, score=0.25, outcome=Outcome.APPROVE) for _ in range(4)]
    declined = [another(template, 2 * DAY, score=0.5, outcome=Outcome.DECLINE) for _ in range(2)]
    outside = [another(template, age, outcome=Outcome.APPROVE) for age in (DAY, 3 * DAY + timedelta(seconds=1))]
    for decision in [*approve, *declined, *outside]:
        await kept.decided(decision)

    def label(decision: Decision, kind: LabelKind, age: timedelta) -> Label:
        return Label(
            tenant_id=tenant,
            event_id=decision.event_id,
            kind=kind,
            occurred_at=now - age,
            recorded_at=now,
            recorded_by="op",
            source=LabelSource.FEEDBACK,
        )

    await kept.labelled(label(approve[0], LabelKind.CHARGEBACK, DAY))
    await kept.labelled(label(approve[1], LabelKind.CONFIRMED, DAY))
    await kept.labelled(label(approve[1], LabelKind.CLEARED, DAY / 2))
    await kept.labelled(label(approve[2], LabelKind.CLEARED, DAY))
    await kept.labelled(label(approve[2], LabelKind.CONFIRMED, DAY))
    await kept.labelled(label(declined[0], LabelKind.CONFIRMED, DAY))
    await kept.labelled(label(outside[0], LabelKind.CHARGEBACK, DAY))
    since, until = now - 3 * DAY, now - DAY
    found = await kept.store.matured(tenant, template.model_version, since, until)
    assert (found.decisions, found.labelled, found.frauds, found.expected) == (5, 4, 3, 1.5)
    assert found.squares == pytest.approx(2 * 0.75**2 + 2 * 0.25**2 + 0.5**2)
    nothing = await kept.store.matured(tenant, "another", since, until)
    assert nothing == Calibration(
        since=since, until=until, decisions=0, labelled=0, frauds=0, expected=0.0, squares=0.0
    )


async def test_the_newest_report_of_each_tenant_is_kept(kept: Kept, template: Decision) -> None:
    tenant, version, at = template.tenant_id, template.model_version, template.decided_at
    none = Calibration(since=at, until=at, decisions=0, labelled=0, frauds=0, expected=0.0, squares=0.0)

    def report(decisions: int) -> Any:
        return drift_report(
            version, None, none, decisions=decisions, since=at, computed_at=at, least_decisions=1, least_frauds=1
        )

    assert await kept.store.report(tenant, version) is None
    for decisions in (1, 2):
        await kept.store.save(tenant, report(decisions))
    assert await kept.store.report(tenant, version) == report(2)
    assert await kept.store.report(TenantId(f"{tenant}-other"), version) is None
    assert await kept.store.report(tenant, "another") is None


async def test_one_instance_has_its_turn(kept: Kept, template: Decision) -> None:
    # Far in the future, which the running service does not reach; afterwards it has its turn again.
    at, hour = template.decided_at.replace(year=2150), timedelta(hours=1)
    try:
        assert await kept.store.claim(at, hour)
        assert not await kept.store.claim(at, hour)
        assert not await kept.store.claim(at + hour - timedelta(microseconds=1), hour)
        assert await kept.store.claim(at + hour, hour)
    finally:
        await kept.turn_back(template.decided_at)
