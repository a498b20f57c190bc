"""Events on the log, decisions on theirs: real Kafka, PostgreSQL and Valkey, with topics and a group of the test's own."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest
from redis.asyncio import Redis
from weir_common.events import decode_event, encode_event
from weir_common.ids import EventId, SubjectId, TenantId
from weir_common.kafka.consumer import Consumer
from weir_common.kafka.producer import KafkaPublisher, kafka_publisher
from weir_common.kafka.records import OutgoingRecord
from weir_common.kafka.topics import TopicSpec, ensure_topics
from weir_common.privacy.bootstrap import vault_in_memory
from weir_fraud.active_policies import ActivePolicies
from weir_fraud.adapters.cel_conditions import CelConditions
from weir_fraud.adapters.label_record import label_record
from weir_fraud.adapters.memory_models import OneModel
from weir_fraud.adapters.onnx_model import OnnxModel
from weir_fraud.adapters.postgres_cases import PostgresCases
from weir_fraud.adapters.postgres_decisions import SCHEMA, PostgresDecisions
from weir_fraud.adapters.postgres_policies import PostgresPolicies
from weir_fraud.adapters.postgres_waiting_labels import PostgresWaitingLabels
from weir_fraud.adapters.valkey_features import ValkeyFeatures
from weir_fraud.admission import Admission
from weir_fraud.decision_metrics import DecisionMetrics
from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.decision import Source
from weir_fraud.domain.label import Label, LabelKind, LabelSource
from weir_fraud.domain.payment_event import PaymentEvent, payment_of
from weir_fraud.entrypoints.documents import EVENT_EXAMPLE
from weir_fraud.entrypoints.events_consumer import ScoreEvents
from weir_fraud.entrypoints.labels_consumer import ApplyLabels
from weir_fraud.entrypoints.scoring_request import event_of, payments_to_score, refuse_what_is_no_payment
from weir_fraud.give_way import GiveWay
from weir_fraud.label_later import LabelLater
from weir_fraud.label_metrics import LabelMetrics
from weir_fraud.score_payments import ScorePayments
from weir_fraud.score_transaction import ScoreTransaction
from weir_fraud.settings import FraudSettings, ScoringSettings

pytestmark = pytest.mark.integration

Send = Callable[[list[dict[str, Any]]], Awaitable[None]]


def now() -> datetime:
    return datetime.now(UTC)


def event(tenant: TenantId, number: int = 0, subtype: str = "purchase", kind: str = "transaction") -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(EVENT_EXAMPLE["event"]))
    made["tenant_id"] = tenant
    made["event_metadata"] |= {
        "event_id": str(uuid.uuid4()),
        "timestamp": f"2026-03-04T12:{number // 60:02}:{number % 60:02}Z",
    }
    made["event_data"] |= {"event_subtype": subtype, "event_type": kind}
    return made


@pytest.fixture
async def publisher(mesh_settings: FraudSettings) -> AsyncIterator[KafkaPublisher]:
    async with kafka_publisher(mesh_settings.kafka, "fraud-tests") as opened:
        yield opened


@pytest.fixture
async def topic(mesh_settings: FraudSettings) -> str:
    name = f"test.fraud.{uuid.uuid4().hex[:12]}"
    await ensure_topics(mesh_settings.kafka, (TopicSpec(name, 2, retention_days=0.1),))
    return name


@pytest.fixture
def send(publisher: KafkaPublisher, topic: str) -> Send:
    async def send_all(events: list[dict[str, Any]]) -> None:
        await publisher.publish_all(
            [
                OutgoingRecord(
                    topic,
                    key=f"{one['tenant_id']}\x00{one['event_data']['user_context']['user_id']}".encode(),
                    value=json.dumps(one).encode(),
                    headers={
                        "weir-tenant": one["tenant_id"].encode(),
                        "weir-event-id": one["event_metadata"]["event_id"].encode(),
                        "weir-event-type": one["event_data"]["event_type"].encode(),
                        "weir-event-subtype": one["event_data"]["event_subtype"].encode(),
                        "weir-accepted-at": now().isoformat().encode(),
                    },
                    partition=0,
                )
                for one in events
            ]
        )

    return send_all


@pytest.fixture
async def features(valkey: Redis, catalogue: Catalogue) -> ValkeyFeatures:
    features = ValkeyFeatures(valkey, catalogue.plan, history_ttl_seconds=120)
    await features.load()
    return features


@pytest.fixture
async def decisions(pool: asyncpg.Pool, catalogue: Catalogue, model: OnnxModel) -> PostgresDecisions:
    decisions = PostgresDecisions(pool, catalogue, lambda: None)
    await decisions.register(model.card)
    return decisions


@pytest.fixture
def score(
    features: ValkeyFeatures, model: OnnxModel, catalogue: Catalogue, pool: asyncpg.Pool, conditions: CelConditions
) -> ScorePayments:
    policies = ActivePolicies(PostgresPolicies(pool, lambda: None), conditions)
    return ScorePayments(features, OneModel(model), catalogue, policies, now)


Consuming = Callable[[], Any]


@pytest.fixture
async def consuming(
    mesh_settings: FraudSettings,
    pool: asyncpg.Pool,
    publisher: KafkaPublisher,
    topic: str,
    score: ScorePayments,
    valkey: Redis,
) -> Consuming:
    """A running consumer; entered again, it goes on where it stopped."""
    past = ValkeyFeatures(valkey, (), history_ttl_seconds=120)
    await past.load()
    name = f"test-{uuid.uuid4().hex[:8]}"

    @asynccontextmanager
    async def run() -> AsyncIterator[Consumer]:
        stop = asyncio.Event()
        consumer = Consumer(
            service="fraud",
            name=name,
            topics=[topic],
            handler=ScoreEvents(score, past, DecisionMetrics(), GiveWay(Admission(ScoringSettings()))),
            pool=pool,
            schema=SCHEMA,
            kafka=mesh_settings.kafka,
            publisher=publisher,
        )
        task = asyncio.create_task(consumer.run(stop))
        try:
            yield consumer
        finally:
            stop.set()
            await asyncio.wait_for(task, 20)

    return run


async def until_decided(decisions: PostgresDecisions, tenant: TenantId, events: list[dict[str, Any]]) -> list[Any]:
    found: list[Any] = []
    async with asyncio.timeout(30):
        while len(found) < len(events):
            found = [
                decision
                for one in events
                if (decision := await decisions.find(tenant, EventId(one["event_metadata"]["event_id"]))) is not None
            ]
            await asyncio.sleep(0.05)
    return found


async def announcements(pool: asyncpg.Pool, events: list[dict[str, Any]]) -> int:
    """In the outbox; the running service may relay them away, so at most once each."""
    ids = [one["event_metadata"]["event_id"] for one in events]
    rows = await pool.fetch("SELECT headers ->> 'weir-event-id' AS id FROM fraud.outbox WHERE headers ->> 'weir-event-id' = ANY($1)", ids)  # fmt: skip
    assert len({row["id"] for row in rows}) == len(rows)
    return len(rows)


async def test_payments_are_decided_in_order_and_nothing_else_is(
    consuming: Consuming, send: Send, decisions: PostgresDecisions, pool: asyncpg.Pool, tenant: TenantId
) -> None:
    payments = [
        event(tenant, number, subtype)
        for number, subtype in enumerate(["purchase", "payment_attempted", "payment_declined", "purchase"])
    ]
    others = [event(tenant, 9, "refund"), event(tenant, 9, "page_view", "user_interaction")]
    async with consuming():
        await send([*others, *payments, payments[0]])
        found = await until_decided(decisions, tenant, payments)
    counts = [
        next(part.value for part in decision.contributions if part.feature == "user_payment_count_1m")
        for decision in found
    ]
    assert counts == [1, 2, 3, 4]
    assert all(decision.source is Source.STREAM for decision in found)
    for one in others:
        assert await decisions.find(tenant, EventId(one["event_metadata"]["event_id"])) is None
    await announcements(pool, payments)


async def test_a_decision_of_the_api_is_not_contradicted(
    consuming: Consuming, send: Send, decisions: PostgresDecisions, score: ScorePayments, tenant: TenantId
) -> None:
    vault = vault_in_memory()
    asked, after = event(tenant, 0), event(tenant, 1)
    made, prefix = event_of(json.dumps(asked).encode())
    refuse_what_is_no_payment(made, prefix, now())
    payments = await payments_to_score(tenant, [made], now(), vault.protect)
    score_transaction = ScoreTransaction(score, decisions, DecisionMetrics(), ScoringSettings())
    (answer,) = await score_transaction.together(tenant, payments, Source.HTTP)
    async with consuming():
        # As ingest writes them.
        protected = await vault.protect(
            tenant, [decode_event(json.dumps(one).encode()).event for one in (asked, after)]
        )
        await send([json.loads(encode_event(one)) for one in protected])
        first, second = await until_decided(decisions, tenant, [asked, after])
    assert first.source is Source.HTTP
    assert first.decided_at == answer.decided_at
    # The stream's copy of the event did not count a second time.
    assert {part.feature: part.value for part in second.contributions}["user_payment_count_1m"] == 2


async def test_several_tenants_in_one_batch_and_a_restart(
    consuming: Consuming, send: Send, decisions: PostgresDecisions, tenant: TenantId
) -> None:
    tenants = [tenant, TenantId(f"{tenant}-2"), TenantId(f"{tenant}-3")]
    events = [event(tenants[number % 3], number) for number in range(30)]
    await send(events)
    async with consuming():
        await until_decided(decisions, tenants[0], events[::3])
    later = [event(tenants[1], 40)]
    await send([*events, *later])
    async with consuming():
        (last,) = await until_decided(decisions, tenants[1], later)
    snapshot = {part.feature: part.value for part in last.contributions}
    assert snapshot["user_payment_count_1h"] == 11


async def test_a_record_that_is_no_event_is_put_aside(
    consuming: Consuming, send: Send, decisions: PostgresDecisions, publisher: KafkaPublisher, topic: str, tenant: TenantId
) -> None:  # fmt: skip
    good = [event(tenant, 0), event(tenant, 1)]
    headers = {
        "weir-tenant": tenant.encode(),
        "weir-event-id": str(uuid.uuid4()).encode(),
        "weir-event-type": b"transaction",
        "weir-event-subtype": b"purchase",
    }
    async with consuming() as consumer:
        await send(good[:1])
        await publisher.publish(OutgoingRecord(topic, b"k", b"{not json", headers, partition=0))
        await send(good[1:])
        await until_decided(decisions, tenant, good)
        assert await consumer.health() is None


MERCHANT_RISK = "merchant_fraud_rate_30d_delayed_7d"


def sold(tenant: TenantId, at: datetime, source: str = "web_app", merchant: str = "corner-shop") -> dict[str, Any]:
    one = event(tenant)
    one["event_metadata"] |= {"timestamp": at.isoformat(), "source_system": source}
    one["event_data"]["business_context"]["tenant_metadata"] = {"merchant_id": merchant}
    return one


def said(tenant: TenantId, one: dict[str, Any], kind: LabelKind, at: datetime) -> Label:
    return Label(
        tenant_id=tenant,
        event_id=EventId(one["event_metadata"]["event_id"]),
        kind=kind,
        occurred_at=at,
        recorded_at=now(),
        recorded_by="test",
        source=LabelSource.FEEDBACK,
    )


async def merchant_risk(features: ValkeyFeatures, catalogue: Catalogue, tenant: TenantId, at: datetime) -> float:
    payment = payment_of(msgspec.json.decode(json.dumps(sold(tenant, at)), type=PaymentEvent), tenant, now())
    (snapshot,) = await features.observe([payment])
    return catalogue.vector(payment, snapshot, [MERCHANT_RISK])[0]


Told = Callable[[list[Label]], Any]


@pytest.fixture
async def told(
    mesh_settings: FraudSettings, pool: asyncpg.Pool, publisher: KafkaPublisher, features: ValkeyFeatures
) -> Told:
    """Records of labels on a log of their own, and a consumer of it while one is inside; gives how far it is."""

    @asynccontextmanager
    async def run(labels: list[Label]) -> AsyncIterator[Callable[[], Awaitable[int]]]:
        topic, name = f"test.fraud.labels.{uuid.uuid4().hex[:12]}", f"test-{uuid.uuid4().hex[:8]}"
        await ensure_topics(mesh_settings.kafka, (TopicSpec(topic, 1, retention_days=0.1),))
        consumer = Consumer(
            service="fraud",
            name=name,
            topics=[topic],
            handler=ApplyLabels(features, LabelMetrics()),
            pool=pool,
            schema=SCHEMA,
            kafka=mesh_settings.kafka,
            publisher=publisher,
            deduplicate=False,
        )

        async def position() -> int:
            found = await pool.fetchval("SELECT max(next_offset) FROM fraud.consumer_offset WHERE consumer = $1", name)
            return int(found or 0)

        stop = asyncio.Event()
        task = asyncio.create_task(consumer.run(stop))
        records = [label_record(label, SubjectId("s"), None) for label in labels]
        await publisher.publish_all([msgspec.structs.replace(record, topic=topic, partition=0) for record in records])
        try:
            yield position
        finally:
            stop.set()
            await asyncio.wait_for(task, 20)

    return run


async def until_risk(features: ValkeyFeatures, catalogue: Catalogue, tenant: TenantId, wanted: float) -> None:
    async with asyncio.timeout(30):
        while await merchant_risk(features, catalogue, tenant, now()) != wanted:
            await asyncio.sleep(0.1)


async def histories(valkey: Redis, tenant: TenantId) -> dict[bytes, Any]:
    """Every one of the tenant, without the snapshots of first answers."""
    keys = sorted([key async for key in valkey.scan_iter(match=f"fraud:{{{tenant}}}:v2:*", count=10_000)])
    return {key: await valkey.get(key) for key in keys}


async def waiting_of(pool: asyncpg.Pool, tenant: TenantId) -> list[Any]:
    return list(
        await pool.fetch(
            "SELECT place FROM fraud.unfinished_work WHERE task = 'label' AND work ->> 'tenant_id' = $1", tenant
        )
    )


def label_later_of(pool: asyncpg.Pool, valkey: Redis) -> LabelLater:
    past = ValkeyFeatures(valkey, (), history_ttl_seconds=120)
    return LabelLater(PostgresWaitingLabels(pool), past, PostgresCases(pool, lambda: None), LabelMetrics(), now)


async def test_what_is_imported_is_history_with_what_is_known_of_it(
    consuming: Consuming,
    send: Send,
    decisions: PostgresDecisions,
    features: ValkeyFeatures,
    catalogue: Catalogue,
    pool: asyncpg.Pool,
    tenant: TenantId,
) -> None:
    """Ten payments of three weeks ago, three of which turned out to be fraud and one of those not, and one of yesterday."""
    then = now() - timedelta(days=20)
    old = [sold(tenant, then + timedelta(hours=number), "batch_import") for number in range(10)]
    young = sold(tenant, now() - timedelta(days=1), "batch_import")
    known = then + timedelta(days=2)
    labels = [said(tenant, one, LabelKind.CHARGEBACK, known) for one in old[:3]]
    labels.append(said(tenant, old[2], LabelKind.CLEARED, known + timedelta(days=1)))
    async with PostgresCases(pool, lambda: None).work(tenant) as work:
        assert [added.is_new for added in await work.add_labels(labels)] == [True] * 4
    async with consuming():
        await send([*old, young])
        await until_decided(decisions, tenant, [young])
    assert [await decisions.find(tenant, EventId(one["event_metadata"]["event_id"])) for one in old] == [None] * 10
    assert await merchant_risk(features, catalogue, tenant, now()) == 2 / 10


async def test_a_label_counts_for_later_payments(
    consuming: Consuming,
    send: Send,
    decisions: PostgresDecisions,
    features: ValkeyFeatures,
    catalogue: Catalogue,
    pool: asyncpg.Pool,
    tenant: TenantId,
    told: Told,
) -> None:
    """Two payments are decided; then one is charged back, with the news twice on the log, and with old news behind it."""
    then = now() - timedelta(days=10)
    payments = [sold(tenant, then), sold(tenant, then + timedelta(hours=1))]
    async with consuming():
        await send(payments)
        await until_decided(decisions, tenant, payments)
    assert await merchant_risk(features, catalogue, tenant, now()) == 0
    news = said(tenant, payments[0], LabelKind.CHARGEBACK, then + timedelta(days=3))
    stale = said(tenant, payments[0], LabelKind.CLEARED, then + timedelta(days=1))
    unheard = said(tenant, sold(tenant, then), LabelKind.CHARGEBACK, then)
    async with PostgresCases(pool, lambda: None).work(tenant) as work:
        await work.add_labels([news, stale, unheard])
    async with told([unheard, news, news, stale]):
        async with asyncio.timeout(30):
            while await merchant_risk(features, catalogue, tenant, now()) != 1 / 2:
                await asyncio.sleep(0.1)


async def test_a_label_counts_for_a_payment_that_was_only_imported(
    consuming: Consuming,
    send: Send,
    told: Told,
    decisions: PostgresDecisions,
    features: ValkeyFeatures,
    catalogue: Catalogue,
    pool: asyncpg.Pool,
    valkey: Redis,
    tenant: TenantId,
) -> None:
    """Four payments of three weeks ago; then one is charged back. The news again, and of another tenant on the same event, is no news."""
    then = now() - timedelta(days=20)
    old = [sold(tenant, then + timedelta(hours=number), "batch_import") for number in range(4)]
    young = sold(tenant, now() - timedelta(days=1), "batch_import")
    ancient = sold(tenant, now() - timedelta(days=50), "batch_import")
    async with consuming():
        await send([ancient, *old, young])
        await until_decided(decisions, tenant, [young])
    ids = [EventId(one["event_metadata"]["event_id"]) for one in (ancient, *old, young)]
    # Of what no feature asks for any more nothing is kept.
    assert set(await PostgresWaitingLabels(pool).observed(tenant, ids)) == set(ids[1:])
    other = TenantId(f"{tenant}-2")
    stranger = said(other, old[1], LabelKind.CHARGEBACK, then + timedelta(days=2))
    news = said(tenant, old[0], LabelKind.CHARGEBACK, then + timedelta(days=2))
    for label in (stranger, news):
        async with PostgresCases(pool, lambda: None).work(label.tenant_id) as work:
            await work.add_labels([label])
    async with told([stranger, news]):
        await until_risk(features, catalogue, tenant, 1 / 4)
    before = await histories(valkey, tenant)
    async with told([news, stranger, news]) as positions:
        async with asyncio.timeout(30):
            while await positions() < 3:
                await asyncio.sleep(0.1)
    assert await histories(valkey, tenant) == before
    assert await histories(valkey, other) == {}
    assert await label_later_of(pool, valkey).apply() == 0
    assert await histories(valkey, tenant) == before


async def test_a_label_that_came_first_counts_once_the_payment_is_decided(
    consuming: Consuming,
    send: Send,
    told: Told,
    decisions: PostgresDecisions,
    features: ValkeyFeatures,
    catalogue: Catalogue,
    pool: asyncpg.Pool,
    valkey: Redis,
    tenant: TenantId,
) -> None:
    then = now() - timedelta(days=10)
    payments = [sold(tenant, then), sold(tenant, then + timedelta(hours=1))]
    news = said(tenant, payments[0], LabelKind.CHARGEBACK, then)
    async with PostgresCases(pool, lambda: None).work(tenant) as work:
        await work.add_labels([news])
    async with told([news]) as positions:
        async with asyncio.timeout(30):
            while await positions() < 1:
                await asyncio.sleep(0.1)
    assert len(await waiting_of(pool, tenant)) >= 1
    later = label_later_of(pool, valkey)
    while await later.apply():
        pass
    assert len(await waiting_of(pool, tenant)) >= 1
    async with consuming():
        await send(payments)
        await until_decided(decisions, tenant, payments)
    async with asyncio.timeout(30):
        while await waiting_of(pool, tenant):
            await later.apply()
    # The running service may have been the one that took it, and its answer be on the way.
    await until_risk(features, catalogue, tenant, 1 / 2)
