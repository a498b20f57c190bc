"""The log from its beginning, across partitions in the order of acceptance: real Kafka, a topic of the test's own."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import chain
from typing import Any

import pytest
from weir_common.ids import TenantId
from weir_common.kafka.producer import KafkaPublisher, kafka_publisher
from weir_common.kafka.records import OutgoingRecord
from weir_common.kafka.topics import TopicSpec, ensure_topics
from weir_fraud.adapters.past_payments import PastPayments
from weir_fraud.entrypoints.documents import EVENT_EXAMPLE
from weir_fraud.errors import FeatureStoreUnavailable
from weir_fraud.settings import FraudSettings

pytestmark = pytest.mark.integration

PARTITIONS = 3
Tell = Callable[..., Awaitable[str]]


@pytest.fixture
async def topic(mesh_settings: FraudSettings) -> str:
    name = f"test.fraud.{uuid.uuid4().hex[:12]}"
    await ensure_topics(mesh_settings.kafka, (TopicSpec(name, PARTITIONS, retention_days=0.1),))
    return name


@pytest.fixture
async def publisher(mesh_settings: FraudSettings) -> AsyncIterator[KafkaPublisher]:
    async with kafka_publisher(mesh_settings.kafka, "fraud-tests") as opened:
        yield opened


@pytest.fixture
def tell(publisher: KafkaPublisher, topic: str) -> Tell:
    """One event onto a partition, after all that were told before it; gives its id."""

    async def publish(tenant: str, partition: int, subtype: str = "purchase", value: bytes | None = None) -> str:
        event: dict[str, Any] = json.loads(json.dumps(EVENT_EXAMPLE["event"]))
        event["tenant_id"] = tenant
        event["event_metadata"]["event_id"] = str(uuid.uuid4())
        event["event_data"] |= {"event_type": "transaction", "event_subtype": subtype}
        await publisher.publish_all(
            [
                OutgoingRecord(
                    topic,
                    key=tenant.encode(),
                    value=json.dumps(event).encode() if value is None else value,
                    headers={
                        "weir-tenant": tenant.encode(),
                        "weir-event-id": event["event_metadata"]["event_id"].encode(),
                        "weir-event-type": b"transaction",
                        "weir-event-subtype": subtype.encode(),
                    },
                    partition=partition,
                )
            ]
        )
        return str(event["event_metadata"]["event_id"])

    return publish


async def ids(past: PastPayments, size: int, tenant: str | None = None) -> list[list[str]]:
    of = None if tenant is None else TenantId(tenant)
    return [[payment.event_id for payment in batch] async for batch in past.batches(size, of)]


async def test_payments_come_in_the_order_of_acceptance(mesh_settings: FraudSettings, topic: str, tell: Tell) -> None:
    sent = [await tell("t1" if number % 4 else "t2", (number * 7) % PARTITIONS) for number in range(40)]
    past = PastPayments(mesh_settings.kafka, topic)
    batches = await ids(past, 16)
    assert [len(batch) for batch in batches] == [16, 16, 8]
    assert list(chain.from_iterable(batches)) == sent
    assert await ids(past, 100, "t2") == [sent[::4]]


async def test_what_is_no_payment_is_passed_over(mesh_settings: FraudSettings, topic: str, tell: Tell) -> None:
    first = await tell("t", 0)
    await tell("t", 0, subtype="refund")
    await tell("t", 1, value=b"{")
    last = await tell("t", 2)
    assert await ids(PastPayments(mesh_settings.kafka, topic), 10) == [[first, last]]


async def test_an_empty_log_has_none(mesh_settings: FraudSettings, topic: str) -> None:
    assert await ids(PastPayments(mesh_settings.kafka, topic), 10) == []


async def test_a_log_that_is_not_there_is_no_empty_one(mesh_settings: FraudSettings) -> None:
    with pytest.raises(FeatureStoreUnavailable, match="is not there"):
        await ids(PastPayments(mesh_settings.kafka, f"test.fraud.{uuid.uuid4().hex}"), 10)


async def test_it_may_begin_where_another_ended(mesh_settings: FraudSettings, topic: str, tell: Tell) -> None:
    """Of each partition by itself; one that is not named from its beginning, one that is at its end not at all."""
    sent = [await tell("t", partition) for partition in (0, 0, 0, 1, 1, 2)]
    past = PastPayments(mesh_settings.kafka, topic)
    assert past.records_left is None
    batches = [batch async for batch in past.batches(10, None, {0: 1, 1: 2})]
    assert [payment.event_id for payment in chain.from_iterable(batches)] == [sent[1], sent[2], sent[5]]
    assert past.records_left == 0
