"""The archive's consumer against Kafka and the catalogue in PostgreSQL: nothing lost, nothing twice, whoever is killed."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer
from pyiceberg.catalog.sql import SqlCatalog
from weir_analytics.adapters.iceberg_archive import open_catalogue, open_table
from weir_analytics.settings import AnalyticsSettings
from weir_common.archive import NAMESPACE
from weir_common.ids import EventId, TenantId
from weir_common.kafka.producer import KafkaPublisher
from weir_common.kafka.records import OutgoingRecord, event_headers
from weir_common.kafka.topics import LEDGER

pytestmark = pytest.mark.integration
MakeTopic = Callable[..., Awaitable[str]]
MakeEvent = Callable[..., dict[str, Any]]


@pytest.fixture
def order(settings: AnalyticsSettings) -> dict[str, str]:
    """What an archive worker is told; the topic is added by the test."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    return {
        "table": name,
        "group": f"test.analytics.lake.{name}",
        "books": settings.postgres.dsn.get_secret_value(),
        "dsn": settings.lake.catalog_dsn.get_secret_value(),
        "warehouse": settings.lake.warehouse_uri,
        "kafka": settings.kafka.bootstrap_servers,
        "commit_seconds": "0.7",
    }


@pytest.fixture
def catalogue(order: dict[str, str], pool: object) -> Any:
    opened = open_catalogue(order["dsn"], order["warehouse"])
    yield opened
    opened.drop_table((NAMESPACE, order["table"]))
    opened.engine.dispose()


@asynccontextmanager
async def worker(order: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker process; killed at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("archive_worker.py")),
        json.dumps(order),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            assert await process.stdout.readline() == b"started\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def publish(publisher: KafkaPublisher, topic: str, tenant: TenantId, *events: dict[str, Any]) -> None:
    await publisher.publish_all(
        [
            OutgoingRecord(
                topic,
                f"{tenant}\0{event['event_data']['user_context']['anonymous_id']}".encode(),
                msgspec.json.encode(event),
                event_headers(
                    tenant,
                    EventId(event["event_metadata"]["event_id"]),
                    **{"weir-accepted-at": datetime.now(UTC).isoformat()},
                ),
            )
            for event in events
        ]
    )


def archived(catalogue: SqlCatalog, name: str) -> Counter[str]:
    return Counter(open_table(catalogue, name).scan(selected_fields=("event_id",)).to_arrow()["event_id"].to_pylist())


async def entered(kafka: str, name: str) -> dict[str, int]:
    """What the log of the ledger says that the archive did: minute → applied, each entry once."""
    consumer = AIOKafkaConsumer(LEDGER, bootstrap_servers=kafka, enable_auto_commit=False, auto_offset_reset="earliest")
    minutes: Counter[str] = Counter()
    seen: set[bytes] = set()
    async with asyncio.timeout(60):
        await consumer.start()
        try:
            ends = await consumer.end_offsets(sorted(consumer.assignment()))
            while any([await consumer.position(where) < end for where, end in ends.items()]):
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    for record in records:
                        entry = json.loads(record.value)
                        event_id = dict(record.headers)["weir-event-id"]
                        if entry.get("consumer") == f"test.lake.{name}" and event_id not in seen:
                            seen.add(event_id)
                            for _, minute, applied, _, _ in entry["rows"]:
                                minutes[minute] += applied
        finally:
            await consumer.stop()
    return dict(minutes)


def archived_minutes(catalogue: SqlCatalog, name: str) -> dict[str, int]:
    times = open_table(catalogue, name).scan(selected_fields=("accepted_at",)).to_arrow()["accepted_at"].to_pylist()
    return dict(Counter(at.strftime("%Y-%m-%dT%H:%M") for at in times))


async def until_archived(catalogue: SqlCatalog, name: str, expected: set[str], seconds: float = 60) -> Counter[str]:
    async with asyncio.timeout(seconds):
        while True:
            found = await asyncio.to_thread(archived, catalogue, name)
            if found.keys() >= expected:
                return found
            await asyncio.sleep(0.3)


@pytest.mark.timeout(240)
async def test_kill_minus_nine_loses_and_doubles_nothing(
    order: dict[str, str],
    catalogue: SqlCatalog,
    publisher: KafkaPublisher,
    make_topic: MakeTopic,
    make_event: MakeEvent,
    tenant: TenantId,
) -> None:
    order["topic"] = topic = await make_topic(3)
    open_table(catalogue, order["table"])
    generator = random.Random(7)
    sent: dict[str, dict[str, Any]] = {}

    async def send(stop: asyncio.Event) -> None:
        while not stop.is_set():
            events = [make_event(anonymous=f"A{generator.randrange(20)}", paint=1.0) for _ in range(40)]
            repeats = generator.sample(list(sent.values()), k=min(len(sent), 5))
            await publish(publisher, topic, tenant, *events, *repeats)
            sent.update({event["event_metadata"]["event_id"]: event for event in events})
            await asyncio.sleep(0.1)

    enough = asyncio.Event()
    sender = asyncio.create_task(send(enough))
    for _ in range(4):
        async with worker(order) as process:
            await asyncio.sleep(generator.uniform(3.5, 6.5))
            process.kill()  # wherever it is: fetching, writing, committing
    enough.set()
    await sender
    async with worker(order) as process:
        found = await until_archived(catalogue, order["table"], set(sent), seconds=90)
        process.terminate()
        async with asyncio.timeout(20):
            assert await process.wait() == 0
    found = archived(catalogue, order["table"])
    assert found.keys() == sent.keys()
    assert {event_id: count for event_id, count in found.items() if count > 1} == {}
    # The entries leave by the outbox, which the mesh's own analytics relays.
    async with asyncio.timeout(30):
        while await entered(order["kafka"], order["table"]) != archived_minutes(catalogue, order["table"]):
            await asyncio.sleep(1)
    print(f"{len(sent)} records through four kills; entered {await entered(order['kafka'], order['table'])}")


@pytest.mark.timeout(180)
async def test_two_workers_share_the_topic_and_an_event_is_archived_within_the_interval(
    order: dict[str, str],
    catalogue: SqlCatalog,
    publisher: KafkaPublisher,
    make_topic: MakeTopic,
    make_event: MakeEvent,
    tenant: TenantId,
) -> None:
    order["topic"] = topic = await make_topic(4)
    open_table(catalogue, order["table"])
    sent: set[str] = set()
    async with worker(order) as first:
        async with worker(order) as second:
            for _ in range(12):
                events = [make_event(anonymous=f"A{n}") for n in range(25)]
                await publish(publisher, topic, tenant, *events)
                sent |= {event["event_metadata"]["event_id"] for event in events}
                await asyncio.sleep(0.4)
            await until_archived(catalogue, order["table"], sent)
            second.terminate()
            async with asyncio.timeout(20):
                assert await second.wait() == 0
        last = make_event(anonymous="A")
        started = time.monotonic()
        await publish(publisher, topic, tenant, last)
        sent.add(last["event_metadata"]["event_id"])
        await until_archived(catalogue, order["table"], sent)
        print(f"archived after {time.monotonic() - started:.2f} s with commits every {order['commit_seconds']} s")
        first.terminate()
        async with asyncio.timeout(20):
            assert await first.wait() == 0
    found = archived(catalogue, order["table"])
    assert found == Counter(sent)
