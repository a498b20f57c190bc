"""Ours: a batch handler whose sums commit with the offsets in PostgreSQL, under row level security, as in every service."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence

import uvloop
from pydantic import SecretStr
from weir_common.ids import TenantId
from weir_common.kafka.consumer import Consumer, Transaction
from weir_common.kafka.producer import kafka_publisher
from weir_common.kafka.records import Record
from weir_common.postgres import postgres_pool, tenant_transaction
from weir_common.settings import KafkaSettings, PostgresSettings

from weir_bench.peers.programs.work import Row, Stopwatch, Sums, Task, add, begin_task, decode, write_answer

SCHEMA = "analytics"
"""Borrowed with its roles, on a server that is the bench's own."""
MAX_WAIT_SECONDS = 0.25
FETCH_MIN_BYTES = 2 * 1_048_576
ADD = (
    "INSERT INTO analytics.minute_sum AS s (tenant_id, event_type, minute, events, cents) "
    "SELECT $1, * FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[]) "
    "ON CONFLICT (tenant_id, event_type, minute) "
    "DO UPDATE SET events = s.events + EXCLUDED.events, cents = s.cents + EXCLUDED.cents"
)
READ = "SELECT event_type, minute, events, cents FROM analytics.minute_sum WHERE tenant_id = $1"


class AddUp:
    """The handler."""

    def __init__(self, watch: Stopwatch, finished: asyncio.Event) -> None:
        self._watch = watch
        self._finished = finished
        self.tenants: set[TenantId] = set()

    async def apply(self, batch: Sequence[Record], transaction: Transaction) -> None:
        self._watch.begin()
        sums: Sums = {}
        for record in batch:
            add(sums, decode(record.value))
        parts: defaultdict[TenantId, list[tuple[str, int, int, int]]] = defaultdict(list)
        for (tenant, kind, minute), (events, cents) in sums.items():
            parts[TenantId(tenant)].append((kind, minute, events, cents))
        for tenant_id, rows in sorted(parts.items()):
            await transaction.as_tenant(tenant_id)
            await transaction.connection.execute(ADD, tenant_id, *(list(column) for column in zip(*rows, strict=True)))
        transaction.after_commit(lambda: self._committed(len(batch), parts))

    def _committed(self, events: int, tenants: Iterable[TenantId]) -> None:
        self.tenants.update(tenants)
        if self._watch.done(events):
            self._finished.set()


async def drain(task: Task, watch: Stopwatch) -> None:
    """Until all events were seen and their sums are committed."""
    kafka = KafkaSettings(bootstrap_servers=task.servers)
    postgres = PostgresSettings(dsn=SecretStr(task.postgres), owner_dsn=SecretStr(task.postgres))
    finished = asyncio.Event()
    handler = AddUp(watch, finished)
    async with postgres_pool(postgres, "bench") as pool, kafka_publisher(kafka, "bench") as publisher:
        consumer = Consumer(
            service="bench",
            name=task.group,
            topics=[task.topic],
            handler=handler,
            pool=pool,
            schema=SCHEMA,
            kafka=kafka,
            publisher=publisher,
            max_records=task.batch,
            max_wait_seconds=MAX_WAIT_SECONDS,
            fetch_min_bytes=FETCH_MIN_BYTES,
        )
        await consumer.run(finished)
        found: list[Row] = []
        for tenant_id in sorted(handler.tenants):
            async with tenant_transaction(pool, tenant_id) as connection:
                found += [(tenant_id, *row) for row in await connection.fetch(READ, tenant_id)]
    write_answer(task, watch.answer(sorted(found)))


if __name__ == "__main__":
    uvloop.run(drain(*begin_task()))
