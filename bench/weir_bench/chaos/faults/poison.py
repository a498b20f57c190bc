"""Records on the log that no consumer can read: each must be put aside once by each consumer, and the others go on."""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from collections import Counter
from datetime import UTC, datetime

from aiokafka import AIOKafkaProducer
from weir_common.ids import EventId, TenantId
from weir_common.kafka.closing import close_client
from weir_common.kafka.records import (
    ACCEPTED_AT_HEADER,
    EVENT_SUBTYPE_HEADER,
    EVENT_TYPE_HEADER,
    SCHEMA_VERSION_HEADER,
    event_headers,
)
from weir_common.kafka.topics import EVENT_PARTITIONS, EVENTS
from weir_local.mesh import Mesh

from weir_bench.chaos.faults.evidence import Evidence
from weir_bench.chaos.plan import Fault
from weir_bench.chaos.servers import NotProven, dead
from weir_bench.chaos.stores import archived, put_aside

RECORDS = 5
CONSUMERS = ("weir.fraud.score", "weir.anomaly.rules", "weir.analytics.books")
ASIDE_SECONDS = 60.0
LAKE_SECONDS = 60.0
_SEND_SECONDS = 15.0


async def poison(mesh: Mesh, fault: Fault) -> Evidence:
    """A few records: far below the share at which a consumer stops."""
    tenant, sources = await write_poison(mesh, RECORDS)
    wrong = await wrongly_aside(mesh, sources, ASIDE_SECONDS)
    rows = await _in_the_lake(mesh, tenant)
    if rows != RECORDS:
        wrong.append(f"the lake holds {rows} of {RECORDS} of them")
    wrong += [f"{name} stopped" for name in dead(mesh)]
    since = time.monotonic()
    return Evidence(f"{len(sources)} unreadable records at {', '.join(sources[:3])}, …", since, wrong)


async def _in_the_lake(mesh: Mesh, tenant: str) -> int:
    """Rows after at most a minute: the archive keeps what nobody can read, too, and must not stop at it."""
    deadline = time.monotonic() + LAKE_SECONDS
    while True:
        rows = (await archived(mesh, [tenant]))[tenant].total()
        if rows >= RECORDS or time.monotonic() > deadline:
            return rows
        await asyncio.sleep(1)


async def write_poison(mesh: Mesh, count: int) -> tuple[str, list[str]]:
    """So many records that are no text, spread over the partitions, of a tenant of their own; gives it and where they
    stand (``topic/partition/offset``)."""
    tenant = TenantId(f"chaos-poison-{secrets.token_hex(4)}")
    producer = AIOKafkaProducer(bootstrap_servers=f"127.0.0.1:{mesh.port('kafka')}", acks="all")
    sources: list[str] = []
    async with asyncio.timeout(_SEND_SECONDS):
        await producer.start()
        try:
            for number in range(count):
                headers = event_headers(
                    tenant,
                    EventId(str(uuid.uuid4())),
                    **{
                        EVENT_TYPE_HEADER: "transaction",
                        EVENT_SUBTYPE_HEADER: "purchase",
                        SCHEMA_VERSION_HEADER: "2.1",
                        ACCEPTED_AT_HEADER: datetime.now(UTC).isoformat(timespec="microseconds"),
                    },
                )
                done = await producer.send_and_wait(
                    EVENTS,
                    key=tenant.encode(),
                    value=b"\xffno event",
                    partition=number % EVENT_PARTITIONS,
                    headers=list(headers.items()),
                )
                sources.append(f"{done.topic}/{done.partition}/{done.offset}")
        finally:
            await close_client(producer.stop, client="chaos-poison")
    if len(sources) != count:
        raise NotProven("the log did not take the unreadable records")
    return tenant, sources


async def wrongly_aside(mesh: Mesh, sources: list[str], seconds: float) -> list[str]:
    """What is not in the quarantine exactly once for each consumer, after at most so many seconds."""
    expected = {(consumer, source) for consumer in CONSUMERS for source in sources}
    deadline = time.monotonic() + seconds
    while True:
        counts = Counter({pair: count for pair, count in (await put_aside(mesh)).items() if pair in expected})
        missing = expected - set(counts)
        if not missing or time.monotonic() > deadline:
            break
        await asyncio.sleep(0.5)
    return [f"{consumer} did not put {source} aside" for consumer, source in sorted(missing)] + [
        f"{consumer} put {source} aside {count} times" for (consumer, source), count in counts.items() if count > 1
    ]
