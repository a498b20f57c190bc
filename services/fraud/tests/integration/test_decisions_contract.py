"""The same tests for the decisions in memory and in PostgreSQL."""

from __future__ import annotations

import math
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest
from weir_common.ids import EventId, TenantId
from weir_common.kafka.partitioner import event_key, partition_of
from weir_common.postgres import postgres_pool, tenant_transaction
from weir_fraud.adapters.memory_decisions import MemoryDecisions
from weir_fraud.adapters.onnx_model import OnnxModel
from weir_fraud.adapters.postgres_decisions import PostgresDecisions, decided_before, record_decisions
from weir_fraud.adapters.postgres_deferred import PostgresDeferred
from weir_fraud.adapters.postgres_unobserved import PostgresUnobserved
from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.contributions import contributions_of
from weir_fraud.domain.decision import Decision, Source
from weir_fraud.domain.degradation import Degraded
from weir_fraud.domain.model import Thresholds
from weir_fraud.domain.outcome import Outcome
from weir_fraud.domain.payment import Payment, observation_of, pack
from weir_fraud.errors import FeatureStoreUnavailable
from weir_fraud.ports import DecisionStore, Deferred, DeferredExplanations, Unobserved, UnobservedPayments
from weir_fraud.rehearse import NOBODY, rehearsal
from weir_fraud.score_payments import ScorePayments
from weir_fraud.settings import FraudSettings

Make = Callable[..., Payment]


@pytest.fixture
async def postgres(pool: asyncpg.Pool, catalogue: Catalogue, model: OnnxModel) -> PostgresDecisions:
    decisions = PostgresDecisions(pool, catalogue, lambda: None)
    await decisions.register(model.card)
    await decisions.register(model.card)
    return decisions


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.integration)])
def store(request: pytest.FixtureRequest) -> Any:
    """Each implementation of `DecisionStore`."""
    return MemoryDecisions() if request.param == "memory" else request.getfixturevalue("postgres")


class OneConnection:
    """A pool of one, which may have the turn of the running service: nobody else takes what waits meanwhile."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    @asynccontextmanager
    async def acquire(self, **_: Any) -> AsyncIterator[asyncpg.Connection]:
        yield self._connection


@pytest.fixture
async def waiting(store: Any, request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """Each implementation of `UnobservedPayments`, with the decisions of `store`."""
    if isinstance(store, MemoryDecisions):
        yield store
        return
    async with request.getfixturevalue("pool").acquire() as connection:
        await connection.execute("SELECT pg_advisory_lock(hashtext('observe:fraud'))")
        yield PostgresUnobserved(OneConnection(connection))  # type: ignore[arg-type]
        await connection.execute("SELECT pg_advisory_unlock(hashtext('observe:fraud'))")


@pytest.fixture
async def uncommitted(
    postgres: PostgresDecisions, pool: asyncpg.Pool, catalogue: Catalogue
) -> AsyncIterator[tuple[PostgresDecisions, PostgresDeferred]]:
    """Nothing is committed, so that the running service does not see what there is to do. The model is, by `postgres`."""
    async with pool.acquire() as connection:
        whole = connection.transaction()
        await whole.start()
        one: Any = OneConnection(connection)
        yield PostgresDecisions(one, catalogue, lambda: None), PostgresDeferred(one)
        await whole.rollback()


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.integration)])
def deferring(request: pytest.FixtureRequest) -> Any:
    """Decisions, and each implementation of `DeferredExplanations` with them."""
    if request.param == "postgres":
        return request.getfixturevalue("uncommitted")
    memory = MemoryDecisions()
    return memory, memory


def unshared(decision: Decision) -> Decision:
    """Comparable without the shares, which are unknown."""
    return replace(
        comparable(decision),
        contributions=contributions_of(part._replace(contribution=0) for part in comparable(decision).contributions),
    )


async def decided(score: ScorePayments, payment: Payment) -> Decision:
    (decision,) = await score([payment], Source.GRPC)
    return decision


def same(one: Decision, other: Decision) -> bool:
    """Equal to the last bit; nan is nan."""
    return comparable(one) == comparable(other)


def comparable(decision: Decision) -> Decision:
    return replace(
        decision,
        contributions=contributions_of(
            part._replace(value="unknown" if math.isnan(part.value) else part.value)  # type: ignore[arg-type]
            for part in decision.contributions
        ),
    )


async def test_what_is_recorded_is_found_to_the_last_bit(
    store: DecisionStore, score_payments: ScorePayments, make_payment: Make
) -> None:
    bare = make_payment(amount=None, currency=None, user_id=None, device=None, latitude=None)
    for payment in (make_payment(amount="0.1"), bare):
        decision = await decided(score_payments, payment)
        assert await store.record(decision) is decision
        found = await store.find(decision.tenant_id, decision.event_id)
        assert found is not None
        assert same(found, decision)


async def test_the_first_decision_stands(
    store: DecisionStore, score_payments: ScorePayments, make_payment: Make
) -> None:
    first = await decided(score_payments, make_payment())
    await store.record(first)
    second = replace(first, score=0.999, source=Source.HTTP)
    assert same(await store.record(second), first)


async def test_a_batch_is_recorded_as_its_decisions_one_by_one(
    store: DecisionStore, score_payments: ScorePayments, make_payment: Make, tenant: TenantId
) -> None:
    made = await score_payments([make_payment(after=second) for second in range(4)], Source.GRPC)
    await store.record(made[1])
    again = [replace(decision, score=0.999) for decision in made]
    recorded = await store.record_all(tenant, again)
    assert [same(one, made[1] if place == 1 else again[place]) for place, one in enumerate(recorded)] == [True] * 4
    for decision in recorded:
        found = await store.find(tenant, decision.event_id)
        assert found is not None
        assert same(found, decision)
    repeated = await store.record_all(tenant, made)
    assert all(map(same, repeated, recorded))
    assert await store.record_all(tenant, []) == []


@pytest.fixture
async def degraded(score_payments: ScorePayments, make_payment: Make) -> list[Decision]:
    """As decisions without the histories are."""
    made = []
    for second in range(4):
        payment = make_payment(after=second, device=None if second == 2 else "laptop")
        decision = await decided(score_payments, payment)
        made.append(
            replace(
                decision,
                degraded=(Degraded.FEATURES_UNAVAILABLE,),
                least_outcome=Outcome.REVIEW,
                unobserved=observation_of(payment),
            )
        )
    return made


async def taken(waiting: UnobservedPayments, tenant: TenantId, limit: int = 10_000) -> list[Unobserved]:
    """What waits, taken, as far as it is the tenant's."""
    found: list[Unobserved] = []

    async def keep(owner: TenantId, kept: Sequence[Unobserved]) -> None:
        if owner == tenant:
            found.extend(kept)

    await waiting.take(limit, keep)
    return found


async def test_what_the_histories_have_missed_waits_with_its_decision(
    store: DecisionStore, waiting: UnobservedPayments, degraded: list[Decision], tenant: TenantId
) -> None:
    await store.record(degraded[0])
    await store.record_all(tenant, degraded)
    # Of a decision that was not the first nothing is kept, and a plain one misses nothing.
    await store.record(replace(degraded[0], unobserved=degraded[1].unobserved))
    await store.record(replace(degraded[0], event_id=EventId(str(uuid.uuid4())), degraded=(), unobserved=None))
    found = await store.find(tenant, degraded[1].event_id)
    assert found is not None
    assert same(found, degraded[1])
    assert await waiting.waiting() >= 4
    about = await store.unobserved(tenant, ["ann"], [])
    assert [pack(one) for one in about] == [pack(one.unobserved) for one in degraded if one.unobserved]
    assert await store.unobserved(tenant, ["bob"], ["ann"]) == []
    assert await store.unobserved(TenantId("other"), ["ann"], []) == []
    kept = await taken(waiting, tenant)
    assert [(one.event_id, one.observation, one.digests) for one in kept] == [
        (one.event_id, one.unobserved, one.histories) for one in degraded
    ]
    assert await taken(waiting, tenant) == []
    assert await store.unobserved(tenant, ["ann"], []) == []


async def test_what_was_not_put_back_waits_on(
    store: DecisionStore, waiting: UnobservedPayments, degraded: list[Decision], tenant: TenantId
) -> None:
    await store.record_all(tenant, degraded)

    async def fail(_: TenantId, __: Sequence[Unobserved]) -> None:
        raise FeatureStoreUnavailable("away")

    with pytest.raises(FeatureStoreUnavailable):
        await waiting.take(10_000, fail)
    assert len(await taken(waiting, tenant)) == 4


def mine(found: Sequence[Deferred], tenant: TenantId) -> list[EventId]:
    return [one.event_id for one in found if one.tenant_id == tenant]


async def test_a_deferred_explanation_waits_and_is_filled_in_once(
    deferring: tuple[DecisionStore, DeferredExplanations],
    score_payments: ScorePayments,
    make_payment: Make,
    tenant: TenantId,
) -> None:
    store, later = deferring
    payments = [make_payment(after=second) for second in range(3)]
    short = await score_payments(payments, Source.GRPC, explain=False)
    whole = await score_payments(payments, Source.GRPC)
    await store.record(short[0])
    await store.record_all(tenant, short)
    await store.record(await decided(score_payments, make_payment(after=9)))
    found = await store.find(tenant, short[1].event_id)
    assert found is not None
    assert not found.is_explained
    assert unshared(found) == unshared(short[1])
    waiting = [one for one in await later.oldest(10_000) if one.tenant_id == tenant]
    # Those of a batch in any order.
    assert waiting[0].event_id == short[0].event_id
    assert {one.event_id for one in waiting} == {one.event_id for one in short}
    whole_by_event = {one.event_id: one for one in whole}
    first, second, third = waiting
    assert await later.deferred() >= 3
    await later.put_off(first)
    waiting = [one for one in await later.oldest(10_000) if one.tenant_id == tenant]
    assert [one.event_id for one in waiting] == [second.event_id, third.event_id, first.event_id]
    explained = whole_by_event[second.event_id]
    await later.fill_in(second, explained)
    # Nobody writes over an explanation.
    await later.fill_in(second, replace(explained, contributions=whole[0].contributions))
    await later.fill_in(third, None)
    assert mine(await later.oldest(10_000), tenant) == [short[0].event_id]
    found = await store.find(tenant, second.event_id)
    assert found is not None
    before = next(one for one in short if one.event_id == second.event_id)
    assert same(found, replace(before, contributions=explained.contributions, is_explained=True))
    assert found.reason_codes == explained.reason_codes
    untouched = await store.find(tenant, third.event_id)
    assert untouched is not None
    assert not untouched.is_explained
    await later.fill_in(waiting[2], None)


@pytest.mark.integration
async def test_the_announcements_of_a_batch_commit_with_its_decisions(
    pool: asyncpg.Pool,
    catalogue: Catalogue,
    model: OnnxModel,
    score_payments: ScorePayments,
    make_payment: Make,
    tenant: TenantId,
) -> None:
    """In the batch's order, and none for the one that was decided before."""
    woken: list[bool] = []
    store = PostgresDecisions(pool, catalogue, lambda: woken.append(True))
    await store.register(model.card)
    made = await score_payments([make_payment(after=second) for second in range(25)], Source.GRPC)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext('outbox:fraud'))")
        await store.record(made[3])
        await store.record_all(tenant, made)
        await store.record_all(tenant, made)
        rows = await connection.fetch(
            "SELECT headers ->> 'weir-event-id' AS event, value FROM fraud.outbox WHERE headers ->> 'weir-tenant' = $1 ORDER BY id",
            tenant,
        )
    assert woken == [True, True]
    expected = [made[3], *made[:3], *made[4:]]
    assert [row["event"] for row in rows] == [decision.event_id for decision in expected]
    assert [msgspec.json.decode(row["value"])["score"] for row in rows] == [decision.score for decision in expected]


@pytest.mark.integration
async def test_a_batch_that_cannot_be_stored_leaves_nothing(
    pool: asyncpg.Pool, postgres: PostgresDecisions, score_payments: ScorePayments, make_payment: Make, tenant: TenantId
) -> None:
    made = await score_payments([make_payment(after=second) for second in range(3)], Source.GRPC)
    broken = [*made[:2], replace(made[2], model_version="never registered")]
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await postgres.record_all(tenant, broken)
    assert [await postgres.find(tenant, decision.event_id) for decision in broken] == [None] * 3
    async with pool.acquire() as connection:
        left = await connection.fetchval(
            "SELECT count(*) FROM fraud.outbox WHERE headers ->> 'weir-tenant' = $1", tenant
        )
    assert left == 0


@pytest.mark.integration
async def test_a_rehearsal_is_taken_back_on_each_connection(
    pool: asyncpg.Pool, catalogue: Catalogue, model: OnnxModel
) -> None:
    woken: list[bool] = []
    decisions = PostgresDecisions(pool, catalogue, lambda: woken.append(True))
    await decisions.register(model.card)
    made = rehearsal(model, catalogue, datetime.now(UTC))
    await decisions.rehearse(made)
    assert await decisions.find(NOBODY, made.event_id) is None
    async with pool.acquire() as connection:
        announced = await connection.fetchval(
            "SELECT count(*) FROM fraud.outbox WHERE key = $1", event_key(NOBODY, made.subject)
        )
    assert announced == 0
    assert woken == []
    assert pool.get_idle_size() == pool.get_max_size()


@pytest.mark.integration
async def test_a_new_connection_knows_the_type_of_a_decision(pool: asyncpg.Pool, mesh_settings: FraudSettings) -> None:
    settings = mesh_settings.postgres.model_copy(update={"min_size": 1, "max_size": 1})
    asked: dict[bool, list[str]] = {}
    for knows in (False, True):
        async with (
            postgres_pool(settings, "fraud-tests", ["fraud.decision"] if knows else []) as opened,
            opened.acquire() as connection,
        ):
            queries = asked[knows] = []
            with connection.query_logger(lambda record, queries=queries: queries.append(record.query)):
                await connection.fetchval("SELECT NULL::fraud.decision")
    assert len(asked[False]) > 1, "the driver looks the type up"
    assert asked[True] == ["SELECT NULL::fraud.decision"]


async def test_nothing_is_found_of_others(
    store: DecisionStore, score_payments: ScorePayments, make_payment: Make
) -> None:
    decision = await decided(score_payments, make_payment())
    await store.record(decision)
    assert await store.find(TenantId("someone-else"), decision.event_id) is None
    assert await store.find(decision.tenant_id, EventId(str(uuid.uuid4()))) is None
    assert [found async for found in store.of_subject(TenantId("someone-else"), ["ann"], [])] == []


async def test_a_person_gets_all_decisions_by_any_of_their_names(
    store: DecisionStore, score_payments: ScorePayments, make_payment: Make, tenant: TenantId
) -> None:
    mine = [make_payment(after=second) for second in range(250)]
    mine.append(make_payment(user_id=None, anonymous_id="cookie"))
    others = [make_payment(user_id="bob"), make_payment(user_id=None)]
    for decision in await score_payments([*mine, *others], Source.STREAM):
        await store.record(decision)
    found = [decision async for decision in store.of_subject(tenant, ["ann", "anna"], ["cookie"])]
    assert [decision.event_id for decision in found] == sorted(payment.event_id for payment in mine)
    assert [decision async for decision in store.of_subject(tenant, [], [])] == []


@pytest.mark.integration
async def test_the_announcement_commits_with_the_decision(
    pool: asyncpg.Pool, catalogue: Catalogue, model: OnnxModel, score_payments: ScorePayments, make_payment: Make
) -> None:
    woken: list[bool] = []
    store = PostgresDecisions(pool, catalogue, lambda: woken.append(True))
    await store.register(model.card)
    decision = await decided(score_payments, make_payment())
    # The running service relays the same outbox: look inside a transaction that holds its lock.
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext('outbox:fraud'))")
        await store.record(decision)
        await store.record(decision)
        rows = await connection.fetch(
            "SELECT * FROM fraud.outbox WHERE headers ->> 'weir-event-id' = $1", decision.event_id
        )
    assert woken == [True]
    (row,) = rows
    assert row["topic"] == "weir.fraud.decisions.v1"
    assert row["key"] == event_key(decision.tenant_id, decision.subject)
    assert row["partition"] == partition_of(decision.tenant_id, decision.subject)
    value: dict[str, Any] = msgspec.json.decode(row["value"])
    assert value["amount"] == "10.00"
    assert value["outcome"] == decision.outcome
    assert value["reason_codes"] == list(decision.reason_codes)
    assert set(value) >= {"event_id", "tenant_id", "transaction_id", "user_id", "currency", "score", "model_version"}
    assert set(value) >= {"decided_at", "event_timestamp"}
    assert (value["policy_version"], value["policy_rule"], value["policy_errors"]) == (0, None, [])
    assert value["model_outcome"] == decision.model_outcome
    assert value["thresholds"] == {"review": 0.3, "decline": 0.7}


@pytest.mark.integration
async def test_row_level_security_is_forced(
    pool: asyncpg.Pool, postgres: PostgresDecisions, score_payments: ScorePayments, make_payment: Make
) -> None:
    decision = await postgres.record(await decided(score_payments, make_payment()))
    async with tenant_transaction(pool, TenantId("someone-else")) as connection:
        assert await connection.fetchval("SELECT count(*) FROM fraud.decision") == 0
        assert await connection.execute("DELETE FROM fraud.decision") == "DELETE 0"
    async with pool.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM fraud.decision") == 0
        unprotected = await connection.fetch(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = 'fraud' AND c.relkind = 'r' AND NOT (c.relrowsecurity AND c.relforcerowsecurity) "
            "AND coalesce(obj_description(c.oid, 'pg_class'), '') NOT LIKE 'no tenant data%'"
        )
    assert [row["relname"] for row in unprotected] == []
    assert await postgres.find(decision.tenant_id, decision.event_id) is not None


async def test_the_newest_come_first_page_by_page(
    store: DecisionStore, score_payments: ScorePayments, make_payment: Make, model: OnnxModel
) -> None:
    await store.register(model.card)
    first = await decided(score_payments, make_payment())
    # Two of the same instant, so that the event's id must break the tie.
    times = [first.decided_at + timedelta(seconds=seconds) for seconds in (0, 1, 2, 2, 3)]
    made = [
        replace(
            first,
            event_id=EventId(str(uuid.UUID(int=number + 1))),
            decided_at=at,
            thresholds=Thresholds(review=0.01, decline=0.02),
            policy_version=7,
        )
        for number, at in enumerate(times)
    ]
    for decision in made:
        await store.record(decision)
    await store.record(replace(first, tenant_id=TenantId(f"{first.tenant_id}-other")))
    seen: list[Decision] = []
    before = None
    while page := await store.newest(first.tenant_id, times[1], before, 2):
        assert {of_model for _, of_model in page} == {model.card.thresholds}, "the model's, not the policy's"
        seen += [decision for decision, _ in page]
        before = (seen[-1].decided_at, seen[-1].event_id)
    assert [comparable(one) for one in seen] == [comparable(one) for one in reversed(made[1:])]


async def test_a_decision_keeps_what_the_policy_did(
    store: DecisionStore, score_payments: ScorePayments, make_payment: Make
) -> None:
    payment = make_payment(billing_country="FR", shipping_country=None, declined=True)
    decision = replace(
        await decided(score_payments, payment),
        outcome=Outcome.DECLINE,
        model_outcome=Outcome.REVIEW,
        policy_version=3,
        policy_rule="deny:device",
        policy_errors=("one", "two"),
        thresholds=Thresholds(review=0.05, decline=0.95),
    )
    await store.record(decision)
    found = await store.find(decision.tenant_id, decision.event_id)
    assert found is not None
    assert same(found, decision)
    assert (found.country, found.billing_country, found.shipping_country, found.declined) == ("DE", "FR", None, True)


@pytest.mark.integration
async def test_a_decision_of_before_there_were_policies_was_the_models(
    pool: asyncpg.Pool, postgres: PostgresDecisions, score_payments: ScorePayments, make_payment: Make
) -> None:
    decision = await postgres.record(await decided(score_payments, make_payment()))
    async with tenant_transaction(pool, decision.tenant_id) as connection:
        # As migration 0009 left the rows that it found.
        changed = await connection.execute(
            "UPDATE fraud.decision SET policy_version = DEFAULT, review = NULL, decline = NULL, model_outcome = NULL, "
            "policy_rule = NULL, policy_errors = NULL, country = NULL, billing_country = NULL, shipping_country = NULL, "
            "payment_declined = NULL WHERE tenant_id = $1",
            decision.tenant_id,
        )
    assert changed == "UPDATE 1"
    found = await postgres.find(decision.tenant_id, decision.event_id)
    assert found is not None
    assert same(found, replace(decision, country=None, declined=None))


@pytest.mark.integration
async def test_looking_for_decisions_reads_no_more_than_it_asks_for(
    pool: asyncpg.Pool, postgres: PostgresDecisions, score_payments: ScorePayments, make_payment: Make
) -> None:
    """On one connection from the first decision on: a plan that was made for an empty table stays for a while."""
    first = await decided(score_payments, make_payment())
    tenant_id = first.tenant_id
    async with pool.acquire(timeout=5) as connection:
        for _ in range(40):
            made = [replace(first, event_id=EventId(str(uuid.uuid4()))) for _ in range(20)]
            events = [(tenant_id, decision.event_id) for decision in made]
            async with connection.transaction():
                assert await decided_before(connection, events) == set()
                assert await record_decisions(connection, made) == set(events)
        async with connection.transaction():
            assert await decided_before(connection, events) == set(events)
            read = await connection.fetchval(
                "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relid = 'fraud.decision'::regclass"
            )
        assert read == len(events)
