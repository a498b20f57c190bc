"""Probes of the stores: a query, the ends of the log, a value written and read back."""

from __future__ import annotations

import asyncio
import secrets

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from redis.asyncio import Redis
from weir_common.kafka.closing import close_client
from weir_common.kafka.topics import TOPICS
from weir_common.settings import KafkaSettings

from weir_tenant_admin.check_health import Answer, Detail
from weir_tenant_admin.domain.health import State

_CONNECTIONS_DEGRADED = 0.9


class PostgresProbe:
    """A query through our own pool; degraded when nearly every connection is taken."""

    name = "postgres"
    kind = "store"
    essential = True

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def ask(self) -> Answer:
        async with self._pool.acquire(timeout=2) as connection:
            row = await connection.fetchrow(
                "SELECT current_setting('server_version') AS version, pg_is_in_recovery() AS standby, "
                "(SELECT count(*) FROM pg_stat_activity WHERE datname IS NOT NULL) AS used, "
                "current_setting('max_connections')::int AS allowed"
            )
        assert row is not None
        detail: Detail = {
            "version": row["version"].split(" ")[0],
            "standby": row["standby"],
            "connections": row["used"],
            "connections_allowed": row["allowed"],
        }
        full = row["used"] >= _CONNECTIONS_DEGRADED * row["allowed"]
        return Answer(State.DEGRADED if full or row["standby"] else State.UP, detail)


class KafkaProbe:
    """Metadata and end offsets of every topic by a connection of its own: an idle old one would prove nothing."""

    name = "kafka"
    kind = "store"
    essential = True

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings

    async def ask(self) -> Answer:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.bootstrap_servers, enable_auto_commit=False, request_timeout_ms=2_000
        )
        try:
            await consumer.start()
            present = await consumer.topics()
            missing = [topic.name for topic in TOPICS if topic.name not in present]
            wanted = [
                TopicPartition(topic.name, partition)
                for topic in TOPICS
                if topic.name in present
                for partition in range(topic.partitions)
            ]
            ends = await consumer.end_offsets(wanted)
        finally:
            # Leaving must not outlast the probe's own deadline, nor be cut short half-way by it.
            await asyncio.shield(close_client(consumer.stop, client="health"))
        detail: Detail = {"topics": len(present), "partitions_asked": len(ends), "records_ever": sum(ends.values())}
        if missing:
            detail["missing_topics"] = missing
        return Answer(State.DEGRADED if missing else State.UP, detail)


class ValkeyProbe:
    """PING, then a random value written and read back."""

    name = "valkey"
    kind = "store"
    essential = True

    def __init__(self, client: Redis) -> None:
        self._client = client

    async def ask(self) -> Answer:
        await self._client.ping()
        key, value = f"tenant-admin:probe:{secrets.token_hex(4)}", secrets.token_bytes(16)
        await self._client.set(key, value, ex=10)
        if await self._client.get(key) != value:
            return Answer(State.DEGRADED, {"fault": "a value that was just written does not read back"})
        await self._client.delete(key)
        memory = await self._client.info("memory")
        return Answer(State.UP, {"used_memory_bytes": int(memory["used_memory"])})
