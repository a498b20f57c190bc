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
from pyiceberg.catalog.sql import SqlCatalog
from weir_analytics.adapters.iceberg_archive import NAMESPACE, open_catalogue, open_table
from weir_analytics.settings import AnalyticsSettings
from weir_common.ids import EventId, TenantId
from weir_common.kafka.producer import KafkaPublisher
from weir_common.kafka.records import OutgoingRecord, event_headers

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
    print(f"{len(sent)} records through four kills")


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
