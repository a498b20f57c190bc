"""What the stores hold, read past the services: the log, PostgreSQL, the lake, the dashboard."""

from __future__ import annotations

import asyncio
import os
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import asyncpg
import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition
from weir_analytics.adapters.iceberg_archive import open_catalogue
from weir_analytics.settings import AnalyticsSettings
from weir_common.archive import NAMESPACE
from weir_common.kafka.closing import close_client
from weir_common.kafka.records import EVENT_ID_HEADER, TENANT_HEADER
from weir_common.kafka.topics import DECISIONS, EVENTS, QUARANTINE
from weir_local.addresses import environment_of
from weir_local.demo.api import Gateway
from weir_local.environment import SERVICES, schema_of
from weir_local.mesh import Mesh

from weir_bench.chaos.judgement import OnTheLog, Place

READ_SECONDS = 120.0
_ANSWER_SECONDS = 20.0
_CONSUMING = tuple(schema_of(service) for service in SERVICES if service != "ingest")
Offsets = dict[TopicPartition, int]


@asynccontextmanager
async def superuser(mesh: Mesh) -> AsyncIterator[asyncpg.Connection]:
    """A connection straight to PostgreSQL that sees every tenant's rows."""
    connection = await asyncpg.connect(
        host="127.0.0.1",
        port=mesh.port("postgres"),
        user="weir",
        password=mesh.secret("postgres-superuser"),
        database="weir",
        timeout=5,
        command_timeout=_ANSWER_SECONDS,
    )
    try:
        yield connection
    finally:
        await connection.close(timeout=5)


@asynccontextmanager
async def _reader(mesh: Mesh) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(bootstrap_servers=f"127.0.0.1:{mesh.port('kafka')}", enable_auto_commit=False)
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            await consumer.start()
        yield consumer
    finally:
        await close_client(consumer.stop, client="chaos")


async def ends_of(mesh: Mesh, topics: Collection[str]) -> Offsets:
    """Where each partition ends."""
    async with _reader(mesh) as consumer:
        return await _ends(consumer, topics)


async def _ends(consumer: AIOKafkaConsumer, topics: Collection[str]) -> Offsets:
    async with asyncio.timeout(_ANSWER_SECONDS):
        await consumer._client.force_metadata_update()
        where = [TopicPartition(topic, number) for topic in topics for number in consumer.partitions_for_topic(topic)]
        ends: Offsets = await consumer.end_offsets(where)
        return ends


async def _records(mesh: Mesh, topic: str, since: Offsets | None = None) -> AsyncIterator[Any]:
    """Every record of a topic from the earliest (or the given) offsets to the present end."""
    async with _reader(mesh) as consumer, asyncio.timeout(READ_SECONDS):
        ends = await _ends(consumer, [topic])
        where = sorted(ends)
        consumer.assign(where)
        position = await consumer.beginning_offsets(where)
        position |= {one: offset for one, offset in (since or {}).items() if one in position}
        for one in where:
            consumer.seek(one, position[one])
        while any(position[one] < ends[one] for one in where):
            for one, messages in (await consumer.getmany(timeout_ms=500, max_records=5_000)).items():
                for message in messages:
                    yield message
                position[one] = messages[-1].offset + 1


def _header(message: Any, name: str) -> str:
    return next((value.decode("utf-8", "replace") for key, value in message.headers if key == name), "")


async def on_the_log(mesh: Mesh, tenants: Collection[str], since: Offsets | None = None) -> dict[str, OnTheLog]:
    """The tenants' events; without ``since`` from the earliest offset."""
    places: dict[str, dict[str, list[Place]]] = {tenant: defaultdict(list) for tenant in tenants}
    async for message in _records(mesh, EVENTS, since):
        tenant = _header(message, TENANT_HEADER)
        if tenant in places:
            places[tenant][_header(message, EVENT_ID_HEADER)].append(Place(message.partition, message.offset))
    return {tenant: OnTheLog(found) for tenant, found in places.items()}


async def announced(mesh: Mesh, tenants: Collection[str], since: Offsets | None = None) -> dict[str, Counter[str]]:
    """By tenant and payment, how many different decisions the topic of decisions holds."""
    values: dict[str, dict[str, set[bytes]]] = {tenant: defaultdict(set) for tenant in tenants}
    async for message in _records(mesh, DECISIONS, since):
        tenant = _header(message, TENANT_HEADER)
        if tenant in values:
            values[tenant][_header(message, EVENT_ID_HEADER)].add(message.value)
    return {tenant: Counter({id_: len(one) for id_, one in found.items()}) for tenant, found in values.items()}


async def values_of(mesh: Mesh, topic: str, tenant: str, since: Offsets | None = None) -> dict[str, list[bytes]]:
    """A tenant's different records of a topic by event."""
    found: dict[str, dict[bytes, None]] = defaultdict(dict)
    async for message in _records(mesh, topic, since):
        if _header(message, TENANT_HEADER) == tenant:
            found[_header(message, EVENT_ID_HEADER)][message.value] = None
    return {id_: list(values) for id_, values in found.items()}


async def put_aside(mesh: Mesh) -> Counter[tuple[str, str]]:
    """Records of the quarantine by the consumer that put them there and where they came from."""
    found: Counter[tuple[str, str]] = Counter()
    async for message in _records(mesh, QUARANTINE):
        found[(_header(message, "weir-quarantine-consumer"), _header(message, "weir-quarantine-source"))] += 1
    return found


async def decisions(mesh: Mesh, tenant: str) -> dict[str, list[str]]:
    """Payment → outcomes in PostgreSQL."""
    found: dict[str, list[str]] = defaultdict(list)
    async with superuser(mesh) as connection:
        rows = await connection.fetch("SELECT event_id, outcome FROM fraud.decision WHERE tenant_id = $1", tenant)
    for row in rows:
        found[str(row["event_id"])].append(row["outcome"])
    return found


async def findings(mesh: Mesh, tenant: str, rule: str, entity: str) -> list[int]:
    """``event_count`` of every finding of the rule on the entity."""
    async with superuser(mesh) as connection:
        rows = await connection.fetch(
            "SELECT (document->>'event_count')::int AS events FROM anomaly.finding "
            "WHERE tenant_id = $1 AND rule = $2 AND entity = $3",
            tenant,
            rule,
            entity,
        )
    return [row["events"] for row in rows]


async def generations(mesh: Mesh) -> Counter[str]:
    """Consumer group → how often its partitions were taken anew, added up."""
    found: Counter[str] = Counter()
    async with superuser(mesh) as connection:
        for schema in _CONSUMING:
            rows = await connection.fetch(
                f'SELECT consumer, sum(generation)::bigint AS taken FROM "{schema}".consumer_offset GROUP BY consumer'  # noqa: S608 - the schema is ours
            )
            for row in rows:
                found[f"weir.{schema.replace('_', '-')}.{row['consumer']}"] += row["taken"]
    return found


async def behind(mesh: Mesh, ends: Mapping[TopicPartition, int], since: datetime) -> list[str]:
    """Consumers that stand before ``ends``, and outboxes with rows from before ``since``."""
    found: list[str] = []
    async with superuser(mesh) as connection:
        for schema in _CONSUMING:
            rows = await connection.fetch(
                f'SELECT consumer, topic, partition, next_offset FROM "{schema}".consumer_offset'  # noqa: S608 - the schema is ours
            )
            for row in rows:
                end = ends.get(TopicPartition(row["topic"], row["partition"]), 0)
                if max(row["next_offset"], 0) < end:
                    name = f"{schema}.{row['consumer']} {row['topic']}/{row['partition']}"
                    found.append(f"{name} at {row['next_offset']} of {end}")
            if await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", f"{schema}.outbox"):
                waiting = await connection.fetchval(
                    f'SELECT count(*) FROM "{schema}".outbox WHERE created_at < $1',  # noqa: S608 - the schema is ours
                    since,
                )
                if waiting:
                    found.append(f"outbox of {schema}: {waiting}")
    return found


async def archived(mesh: Mesh, tenants: Sequence[str]) -> dict[str, Counter[str]]:
    """By tenant and event, how many rows the lake holds."""
    os.environ.update(environment_of(mesh, "analytics"))
    lake = AnalyticsSettings().lake
    dsn = lake.catalog_dsn.get_secret_value()
    catalogue = await asyncio.to_thread(open_catalogue, dsn, lake.warehouse_uri)
    try:
        async with asyncio.timeout(READ_SECONDS):
            return await asyncio.to_thread(_rows, catalogue, tenants)
    finally:
        catalogue.engine.dispose()


def _rows(catalogue: Any, tenants: Sequence[str]) -> dict[str, Counter[str]]:
    table = catalogue.load_table((NAMESPACE, "events"))
    chosen = ", ".join(f"'{tenant}'" for tenant in tenants)
    scan = table.scan(row_filter=f"tenant_id IN ({chosen})", selected_fields=("tenant_id", "event_id"))
    found: dict[str, Counter[str]] = {tenant: Counter() for tenant in tenants}
    for batch in scan.to_arrow_batch_reader():
        for tenant, id_ in zip(batch["tenant_id"].to_pylist(), batch["event_id"].to_pylist(), strict=True):
            found[tenant][id_] += 1
    return found


async def dashboard(gateway: Gateway, key: str, tenant: str, since: datetime, until: datetime) -> dict[str, Any] | None:
    """The tenant's figures; None when it does not answer now."""
    try:
        answer = await gateway.client.get(
            "/api/v2/analytics/realtime/dashboard",
            params={"tenant_id": tenant, "from": since.isoformat(), "to": until.isoformat()},
            headers={"x-api-key": key},
        )
    except httpx.HTTPError:
        return None
    if answer.status_code != 200:
        return None
    document: dict[str, Any] = answer.json()
    return document
