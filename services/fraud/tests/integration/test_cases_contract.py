"""The same tests for labels and cases in memory and in PostgreSQL; and what only a database has."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest
from weir_common.audit import AuditEntry
from weir_common.auth import Principal, Role
from weir_common.ids import EventId, TenantId
from weir_common.kafka.partitioner import event_key, partition_of
from weir_common.postgres import tenant_transaction
from weir_common.problems import Conflict, PreconditionFailed, Problem
from weir_fraud.adapters.memory_cases import MemoryCases
from weir_fraud.adapters.memory_decisions import MemoryDecisions
from weir_fraud.adapters.onnx_model import OnnxModel
from weir_fraud.adapters.postgres_cases import PostgresCases
from weir_fraud.adapters.postgres_decisions import PostgresDecisions, record_decisions
from weir_fraud.case_metrics import CaseMetrics
from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.decision import Decision, Outcome, Source
from weir_fraud.domain.label import Label, LabelKind, LabelSource
from weir_fraud.domain.payment import Payment
from weir_fraud.domain.review_case import ActionKind, CaseAction, CaseState, Resolution, SealedNote, assigned, resolved
from weir_fraud.label_metrics import LabelMetrics
from weir_fraud.ports import QueueFilter, QueueOrder
from weir_fraud.record_labels import LabelStatus, RecordLabels
from weir_fraud.score_payments import ScorePayments
from weir_fraud.work_case import Seen, WorkCase

Make = Callable[..., Payment]
OTHER = TenantId("someone-else")
ADA = Principal(OTHER, "ada", "person", frozenset({Role.FRAUD_ANALYST}))
BOB = replace(ADA, subject="bob")


UNRESOLVED = QueueFilter()


class Rolled(Exception):
    """Ends a transaction."""


@pytest.fixture
async def postgres(
    pool: asyncpg.Pool, catalogue: Catalogue, model: OnnxModel
) -> tuple[PostgresDecisions, PostgresCases]:
    decisions = PostgresDecisions(pool, catalogue, lambda: None)
    await decisions.register(model.card)
    return decisions, PostgresCases(pool, lambda: None)


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.integration)])
def stores(request: pytest.FixtureRequest) -> Any:
    """A `DecisionStore`, and what is both `LabelStore` and `CaseStore`."""
    if request.param == "memory":
        decisions = MemoryDecisions()
        return decisions, MemoryCases(decisions)
    return request.getfixturevalue("postgres")


@pytest.fixture
async def reviewed(score_payments: ScorePayments, make_payment: Make) -> Decision:
    """A decision to review; others are made of it."""
    (decision,) = await score_payments([make_payment()], Source.GRPC)
    return replace(decision, outcome=Outcome.REVIEW, score=0.5)


def another(decision: Decision, **members: Any) -> Decision:
    return replace(decision, event_id=EventId(str(uuid.uuid4())), **members)


def label(decision: Decision, kind: LabelKind = LabelKind.CHARGEBACK, hours: float = 0, **members: Any) -> Label:
    values: dict[str, Any] = {
        "tenant_id": decision.tenant_id,
        "event_id": decision.event_id,
        "kind": kind,
        "occurred_at": decision.decided_at + timedelta(hours=hours, microseconds=7),
        "recorded_at": decision.decided_at + timedelta(days=9),
        "recorded_by": "key:shop",
        "source": LabelSource.FEEDBACK,
        "reference": "dp_1",
    }
    return Label(**(values | members))


def action(version: int, kind: ActionKind, at: datetime, **members: Any) -> CaseAction:
    return CaseAction(version=version, kind=kind, actor="ada", actor_kind="person", at=at, **members)


async def test_labels_are_kept_as_they_are_the_newest_first(stores: Any, reviewed: Decision) -> None:
    decisions, cases = stores
    await decisions.record(reviewed)
    other = another(reviewed)
    first, late, bare = label(reviewed), label(reviewed, hours=5), label(other, reference=None)
    tied = label(reviewed, LabelKind.CLEARED, source=LabelSource.CASE)
    async with cases.work(reviewed.tenant_id) as work:
        added = await work.add_labels([first, late, first, bare, tied])
    assert [(one.is_new, one.subject) for one in added] == [
        (True, reviewed.subject),
        (True, reviewed.subject),
        (False, reviewed.subject),
        (True, None),
        (True, reviewed.subject),
    ]
    async with cases.work(reviewed.tenant_id) as work:
        (again,) = await work.add_labels([replace(first, reference="dp_2", recorded_by="somebody")])
    assert not again.is_new
    found = await cases.labels(reviewed.tenant_id, [reviewed.event_id, other.event_id, EventId(str(uuid.uuid4()))])
    assert {event: list(labels) for event, labels in found.items()} == {
        reviewed.event_id: [late, first, tied],
        other.event_id: [bare],
    }


async def test_what_is_not_left_well_did_not_happen(stores: Any, reviewed: Decision) -> None:
    decisions, cases = stores
    await decisions.record(reviewed)
    tenant_id = reviewed.tenant_id
    with pytest.raises(Rolled):  # noqa: PT012 - the error ends what the block has done
        async with cases.work(tenant_id) as work:
            await work.add_labels([label(reviewed)])
            case = await work.case(reviewed.event_id)
            changed = assigned(case, "ada", by="ada", taking_over=False)
            await work.save(changed, action(2, ActionKind.ASSIGNED, reviewed.decided_at, assignee="ada"))
            raise Rolled
    assert await cases.labels(tenant_id, [reviewed.event_id]) == {}
    assert (await cases.cases(tenant_id, [reviewed.event_id]))[reviewed.event_id].version == 1
    assert len(await cases.history(tenant_id, reviewed.event_id)) == 1


async def test_a_case_opens_with_its_decision_once(stores: Any, reviewed: Decision) -> None:
    decisions, cases = stores
    others = [another(reviewed, outcome=outcome) for outcome in (Outcome.APPROVE, Outcome.DECLINE)]
    for decision in (reviewed, reviewed, *others):
        await decisions.record(decision)
    tenant_id = reviewed.tenant_id
    found = await cases.cases(tenant_id, [reviewed.event_id, *(other.event_id for other in others)])
    (case,) = found.values()
    assert (case.event_id, case.score, case.opened_at) == (reviewed.event_id, 0.5, reviewed.decided_at)
    assert (case.state, case.assignee, case.resolution, case.version) == (CaseState.OPEN, None, None, 1)
    (opened,) = await cases.history(tenant_id, reviewed.event_id)
    assert (opened.version, opened.kind, opened.actor, opened.actor_kind) == (1, ActionKind.OPENED, "fraud", "service")
    (queued,) = await cases.queue(tenant_id, QueueFilter(), QueueOrder.SCORE, after=None, limit=10)
    assert queued.case == case
    assert (queued.amount, queued.currency, queued.transaction_id) == (reviewed.amount, "EUR", "order-1")
    assert queued.reason_codes == reviewed.reason_codes
    assert queued.event_timestamp == reviewed.event_timestamp


async def test_what_is_saved_is_found_with_its_history(stores: Any, reviewed: Decision) -> None:
    decisions, cases = stores
    await decisions.record(reviewed)
    tenant_id, event_id, at = reviewed.tenant_id, reviewed.event_id, reviewed.decided_at + timedelta(minutes=1)
    note = SealedNote("sub_key", b"\x00sealed")
    async with cases.work(tenant_id) as work:
        held = assigned(await work.case(event_id), "ada", by="ada", taking_over=False)
        first = action(2, ActionKind.ASSIGNED, at, assignee="ada")
        await work.save(held, first)
    async with cases.work(tenant_id) as work:
        assert await work.case(event_id) == held
        ended = resolved(held, Resolution.FRAUD, by="ada", at=at, taking_over=False)
        second = action(3, ActionKind.RESOLVED, at, resolution=Resolution.FRAUD, note=note)
        await work.save(ended, second)
    assert (await cases.cases(tenant_id, [event_id]))[event_id] == ended
    assert list(await cases.history(tenant_id, event_id))[1:] == [first, second]


async def test_the_queue_has_its_order_its_parts_and_its_pages(stores: Any, reviewed: Decision) -> None:
    decisions, cases = stores
    tenant_id = reviewed.tenant_id
    made = [
        another(reviewed, score=score, decided_at=reviewed.decided_at + timedelta(seconds=place % 3))
        for place, score in enumerate([0.1, 0.3, 0.3, 0.2, 0.1 + 0.2, 0.3, 0.7])
    ]
    for decision in made:
        await decisions.record(decision)

    async def ids(
        order: QueueOrder,
        chosen: QueueFilter = UNRESOLVED,
        limit: int = 100,
    ) -> list[EventId]:
        found: list[EventId] = []
        after = None
        while page := await cases.queue(tenant_id, chosen, order, after=after, limit=limit):
            found += [one.case.event_id for one in page]
            last = page[-1].case
            after = (last.score if order is QueueOrder.SCORE else last.opened_at, last.event_id)
        return found

    by_score = [one.event_id for one in sorted(made, key=lambda one: (-one.score, one.event_id))]
    by_age = [one.event_id for one in sorted(made, key=lambda one: (one.decided_at, one.event_id))]
    for limit in (1, 2, 100):
        assert await ids(QueueOrder.SCORE, limit=limit) == by_score
        assert await ids(QueueOrder.OLDEST, limit=limit) == by_age
    async with cases.work(tenant_id) as work:
        held = assigned(await work.case(made[0].event_id), "ada", by="ada", taking_over=False)
        await work.save(held, action(2, ActionKind.ASSIGNED, reviewed.decided_at, assignee="ada"))
        case = await work.case(made[1].event_id)
        ended = resolved(case, Resolution.FRAUD, by="ada", at=reviewed.decided_at, taking_over=False)
        await work.save(ended, action(2, ActionKind.RESOLVED, reviewed.decided_at, resolution=Resolution.FRAUD))
    without = [event for event in by_score if event != made[1].event_id]
    assert await ids(QueueOrder.SCORE) == without
    assert await ids(QueueOrder.SCORE, QueueFilter(CaseState.RESOLVED)) == [made[1].event_id]
    assert await ids(QueueOrder.OLDEST, QueueFilter(CaseState.ASSIGNED)) == [made[0].event_id]
    assert await ids(QueueOrder.OLDEST, QueueFilter(assignee="ada")) == [made[0].event_id]
    assert await ids(QueueOrder.SCORE, QueueFilter(assignee="bob")) == []
    assert await ids(QueueOrder.SCORE, QueueFilter(CaseState.OPEN, least_score=0.3)) == without[:4]


async def test_a_tenant_sees_and_changes_its_own_only(stores: Any, reviewed: Decision) -> None:
    decisions, cases = stores
    await decisions.record(reviewed)
    async with cases.work(reviewed.tenant_id) as work:
        await work.add_labels([label(reviewed)])
    event_id = reviewed.event_id
    assert await cases.cases(OTHER, [event_id]) == {}
    assert await cases.labels(OTHER, [event_id]) == {}
    assert await cases.history(OTHER, event_id) == []
    assert [
        one
        for one in await cases.queue(OTHER, QueueFilter(), QueueOrder.SCORE, after=None, limit=500)
        if one.case.event_id == event_id
    ] == []
    with pytest.raises(Rolled):  # noqa: PT012 - the error ends what the block has done
        async with cases.work(OTHER) as work:
            assert await work.case(event_id) is None
            (added,) = await work.add_labels([label(reviewed, tenant_id=OTHER)])
            assert (added.is_new, added.subject) == (True, None)
            raise Rolled


@pytest.mark.parametrize("round_", range(30))
async def test_of_two_analysts_at_once_one_gets_the_case(
    stores: Any, reviewed: Decision, clock: Callable[[], datetime], round_: int
) -> None:
    decisions, cases = stores
    decision = another(reviewed)
    await decisions.record(decision)
    unused: Any = None
    record = RecordLabels(cases, LabelMetrics())
    work = WorkCase(cases, decisions, unused, record, CaseMetrics(), clock)
    seen = Seen(1) if round_ % 2 else Seen()
    taken = await asyncio.gather(
        *(work.assign(decision.tenant_id, decision.event_id, caller.subject, caller, seen) for caller in (ADA, BOB)),
        return_exceptions=True,
    )
    (refused,) = [one for one in taken if isinstance(one, Problem)]
    (won,) = [one for one in taken if not isinstance(one, BaseException)]
    assert isinstance(refused, PreconditionFailed if round_ % 2 else Conflict)
    assert (await cases.cases(decision.tenant_id, [decision.event_id]))[decision.event_id] == won
    assert len(await cases.history(decision.tenant_id, decision.event_id)) == 2


async def test_of_two_resolutions_at_once_one_stands_with_one_label(
    stores: Any, reviewed: Decision, clock: Callable[[], datetime]
) -> None:
    decisions, cases = stores
    await decisions.record(reviewed)
    unused: Any = None
    work = WorkCase(cases, decisions, unused, RecordLabels(cases, LabelMetrics()), CaseMetrics(), clock)
    ended = await asyncio.gather(
        *(
            work.resolve(reviewed.tenant_id, reviewed.event_id, resolution, None, ADA, Seen())
            for resolution in Resolution
        ),
        return_exceptions=True,
    )
    assert sorted(isinstance(one, Conflict) for one in ended) == [False, True]
    (stands,) = [one for one in ended if not isinstance(one, BaseException)]
    (only,) = (await cases.labels(reviewed.tenant_id, [reviewed.event_id]))[reviewed.event_id]
    assert only.kind is stands.resolution.label


async def test_the_same_labels_at_once_in_any_order_are_recorded_once(stores: Any, reviewed: Decision) -> None:
    _, cases = stores
    record = RecordLabels(cases, LabelMetrics())
    labels = [label(another(reviewed)) for _ in range(50)]
    answers = await asyncio.gather(
        *(record(reviewed.tenant_id, labels[:: 1 if turn % 2 else -1], ADA, "POST") for turn in range(6))
    )
    counted = [status for statuses in answers for status in statuses]
    assert counted.count(LabelStatus.UNKNOWN_EVENT) == 50
    assert counted.count(LabelStatus.DUPLICATE) == 250


# ── what only a database has
# ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.integration
async def test_what_is_announced_commits_with_its_cause(pool: asyncpg.Pool, postgres: Any, reviewed: Decision) -> None:
    decisions, _ = postgres
    woken: list[bool] = []
    cases = PostgresCases(pool, lambda: woken.append(True))
    await decisions.record(reviewed)
    imported = another(reviewed)
    entry = AuditEntry(
        tenant_id=reviewed.tenant_id,
        actor="ada",
        actor_kind="person",
        action="fraud_cases:work",
        object_ref="case",
        outcome="success",
    )
    # The running service relays the same outbox: look inside a transaction that holds its lock.
    async with pool.acquire(timeout=5) as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext('outbox:fraud'))")
        with pytest.raises(Rolled):  # noqa: PT012 - the error ends what the block has done
            async with cases.work(reviewed.tenant_id) as work:
                await work.add_labels([label(reviewed)])
                raise Rolled
        async with cases.work(reviewed.tenant_id) as work:
            await work.add_labels([label(reviewed), label(imported, LabelKind.CLEARED)])
            await work.audit(entry)
        async with cases.work(reviewed.tenant_id) as work:
            await work.add_labels([label(reviewed)])
        rows = await connection.fetch(
            "SELECT * FROM fraud.outbox WHERE headers ->> 'weir-tenant' = $1 AND topic <> 'weir.fraud.decisions.v1' ORDER BY id",
            reviewed.tenant_id,
        )
    assert woken == [True, True]
    assert [row["topic"] for row in rows] == ["weir.fraud.labels.v1"] * 2 + ["weir.compliance.audit.v1"]
    for row, decision, whom, kind in (
        (rows[0], reviewed, reviewed.subject, "chargeback"),
        (rows[1], imported, imported.event_id, "cleared"),
    ):
        assert row["key"] == event_key(decision.tenant_id, whom)
        assert row["partition"] == partition_of(decision.tenant_id, whom)
        value = msgspec.json.decode(row["value"])
        assert (value["tenant_id"], value["event_id"], value["label"]) == (
            decision.tenant_id,
            decision.event_id,
            kind,
        )
        assert value["is_fraud"] is (kind == "chargeback")
        assert set(value) == {"tenant_id", "event_id", "label", "is_fraud", "occurred_at", "recorded_at"}


@pytest.mark.integration
async def test_the_stream_opens_cases_of_many_tenants(pool: asyncpg.Pool, postgres: Any, reviewed: Decision) -> None:
    _, cases = postgres
    tenants = [TenantId(f"{reviewed.tenant_id}-{place}") for place in range(3)]
    made = [another(reviewed, tenant_id=tenant) for tenant in tenants for _ in range(2)]
    approved = [another(reviewed, tenant_id=tenant, outcome=Outcome.APPROVE) for tenant in tenants]
    async with pool.acquire(timeout=5) as connection:
        async with connection.transaction():
            assert len(await record_decisions(connection, [*made, *approved])) == 9
        transaction = connection.transaction()
        await transaction.start()
        lost = another(reviewed)
        await record_decisions(connection, [lost])
        await transaction.rollback()
    for tenant in tenants:
        queue = await cases.queue(tenant, QueueFilter(), QueueOrder.SCORE, after=None, limit=10)
        assert {one.case.event_id for one in queue} == {one.event_id for one in made if one.tenant_id == tenant}
    assert await cases.cases(lost.tenant_id, [lost.event_id]) == {}


@pytest.mark.integration
async def test_row_level_security_hides_and_histories_only_grow(
    pool: asyncpg.Pool, postgres: Any, reviewed: Decision
) -> None:
    decisions, cases = postgres
    await decisions.record(reviewed)
    async with cases.work(reviewed.tenant_id) as work:
        await work.add_labels([label(reviewed)])
    for table in ("label", "review_case", "case_action"):
        async with tenant_transaction(pool, OTHER) as connection:
            count = f"SELECT count(*) FROM fraud.{table} WHERE event_id = $1"
            assert await connection.fetchval(count, uuid.UUID(reviewed.event_id)) == 0
        async with pool.acquire(timeout=5) as connection:
            assert await connection.fetchval(f"SELECT count(*) FROM fraud.{table}") == 0, "without a tenant nothing"
    forbidden = ["DELETE FROM fraud.review_case"]
    for table in ("label", "case_action"):
        forbidden += [
            f"DELETE FROM fraud.{table}",
            f"UPDATE fraud.{table} SET tenant_id = 'x'",
            f"TRUNCATE fraud.{table}",
        ]
    for statement in forbidden:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with tenant_transaction(pool, reviewed.tenant_id) as connection:
                await connection.execute(statement)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with tenant_transaction(pool, OTHER) as connection:
            await connection.execute(
                "INSERT INTO fraud.label (tenant_id, event_id, label, occurred_at, recorded_at, recorded_by, source) "
                "VALUES ($1, $2, 'cleared', now(), now(), 'eve', 'feedback')",
                reviewed.tenant_id,
                uuid.UUID(reviewed.event_id),
            )


@pytest.mark.integration
@pytest.mark.usefixtures("postgres")
async def test_the_queue_reads_no_more_than_a_page(pool: asyncpg.Pool, reviewed: Decision) -> None:
    """However many cases were resolved before."""
    tenant_id = reviewed.tenant_id
    made = [another(reviewed, score=0.3 + place / 10_000) for place in range(600)]
    async with pool.acquire(timeout=5) as connection, connection.transaction():
        await record_decisions(connection, made)
    async with tenant_transaction(pool, tenant_id) as connection:
        await connection.execute(
            "UPDATE fraud.review_case SET state = 'resolved', resolution = 'fraud', resolved_at = now() "
            "WHERE tenant_id = $1 AND score > 0.31",
            tenant_id,
        )
    async with pool.acquire(timeout=5) as lent, lent.transaction():
        await lent.execute("SELECT set_config('weir.tenant_id', $1, true)", tenant_id)
        # Of a hundred open cases the planner may read and sort all, as cheaply; what is looked at is that there is an order to follow.
        for way in ("enable_seqscan", "enable_bitmapscan", "enable_sort"):
            await lent.execute(f"SET LOCAL {way} = off")
        before = await _read_rows(lent)
        page = await PostgresCases(_OneConnection(lent), lambda: None).queue(  # type: ignore[arg-type]
            tenant_id, QueueFilter(), QueueOrder.SCORE, after=None, limit=20
        )
        read = await _read_rows(lent) - before
    assert [round(one.case.score, 4) for one in page] == [round(0.31 - place / 10_000, 4) for place in range(20)]
    assert read <= 60, read


async def _read_rows(connection: Any) -> int:
    read: int = await connection.fetchval(
        "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relid = 'fraud.review_case'::regclass"
    )
    return read


class _OneConnection:
    """A pool that lends the one connection whose transaction is looked at."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def acquire(self, *, timeout: float) -> Any:
        return self

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def transaction(self, **_: object) -> Any:
        return self._connection.transaction()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)
