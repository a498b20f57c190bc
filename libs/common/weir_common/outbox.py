"""Outbox: a record written in the transaction of its cause, relayed to the log in order after the commit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import asyncpg
import msgspec
import structlog

from weir_common.errors import RetryError
from weir_common.kafka.producer import KafkaPublisher
from weir_common.kafka.records import OutgoingRecord
from weir_common.postgres import Connection
from weir_common.telemetry import meter, statement_spans_if_sampled

log = structlog.get_logger(__name__)

_MAX_BACKOFF_SECONDS = 5.0
_PUBLISH_SECONDS = 5.0
"""Below PostgreSQL's limit for a transaction that idles (``postgres_pool``: 10 s): while Kafka is away the relay must give up
before the server ends its session under it."""
_OUTAGES = (
    RetryError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # What asyncpg raises when the server has ended the session while nobody was listening to it.
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
_GATHER_SECONDS = 0.1


async def add_to_outbox(connection: Connection, schema: str, records: Sequence[OutgoingRecord]) -> None:
    """Insert rows in the running transaction, in order."""
    if records:
        await connection.execute(insert_into_outbox(schema), *outbox_columns(records))


def insert_into_outbox(schema: str) -> str:
    """The statement; its first five parameters are `outbox_columns`."""
    return (
        f'INSERT INTO "{schema}".outbox (topic, key, value, headers, partition) '  # noqa: S608 - the schema is ours
        "SELECT topic, key, value, headers::jsonb, partition FROM unnest($1::text[], $2::bytea[], $3::bytea[], $4::text[], $5::integer[]) "
        "WITH ORDINALITY AS new (topic, key, value, headers, partition, place) ORDER BY place"
    )


def outbox_columns(records: Sequence[OutgoingRecord]) -> list[list[object]]:
    """Topics, keys, values, headers and partitions."""
    rows = [outbox_row(record) for record in records]
    return [[row[column] for row in rows] for column in range(5)]


def outbox_row(record: OutgoingRecord) -> tuple[str, bytes, bytes | None, str, int | None]:
    """Topic, key, value, headers (JSON) and partition, as the table has them."""
    headers = msgspec.json.encode({name: value.decode() for name, value in record.headers.items()}).decode()
    return record.topic, record.key, record.value, headers, record.partition


class OutboxRelay:
    """Moves outbox rows to the log, oldest first; one relay a schema works at a time (advisory lock).

    A row is deleted in the transaction in which it was sent, so a crash between the two sends it again: readers drop the
    repeat by its event id. The relay sleeps until ``wake`` is called or a second has passed.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        schema: str,
        publisher: KafkaPublisher,
        *,
        batch_size: int = 500,
        idle_seconds: float = 1.0,
    ) -> None:
        self._pool = pool
        self._schema = schema
        self._publisher = publisher
        self._batch_size = batch_size
        self._idle_seconds = idle_seconds
        self._wake = asyncio.Event()
        self._relayed = meter().create_counter("weir.outbox.relayed", unit="{record}", description="Outbox rows sent")
        self._failures = meter().create_counter(
            "weir.outbox.failures", unit="{attempt}", description="Relay attempts that failed"
        )

    def wake(self) -> None:
        """Call after a commit that added rows."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until ``stop``; outages of PostgreSQL or Kafka are waited out with back-off."""
        backoff = 0.1
        while not stop.is_set():
            try:
                moved = await self.relay_once()
                backoff = 0.1
            except _OUTAGES as error:
                self._failures.add(1, {"weir.schema": self._schema})
                log.warning("outbox relay failed, trying again", schema=self._schema, error=repr(error))
                await self._pause(stop, backoff)
                backoff = min(backoff * 2, _MAX_BACKOFF_SECONDS)
                continue
            if moved < self._batch_size:
                await self._pause(stop, self._idle_seconds)
                # What is committed within the next instant travels with it: one transaction for many wakes.
                await asyncio.sleep(_GATHER_SECONDS)
        # What was committed just before the stop should not wait for the next start.
        try:
            await self.relay_once()
        except _OUTAGES as error:
            log.warning("outbox left rows for the next start", schema=self._schema, error=repr(error))

    async def relay_once(self) -> int:
        """Send one batch; gives the number of rows moved (0 also when another relay holds the lock)."""
        self._wake.clear()
        with statement_spans_if_sampled():
            return await self._relay_once()

    async def _relay_once(self) -> int:
        async with self._pool.acquire(timeout=5) as connection, connection.transaction():
            # Lock, read and delete are one statement: each round trip costs more than what it does. Deleted rows come in no order.
            rows = sorted(
                await connection.fetch(
                    f"""WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(hashtext($1)) AS ours),
                        oldest AS MATERIALIZED (
                            SELECT id FROM "{self._schema}".outbox WHERE (SELECT ours FROM turn) ORDER BY id LIMIT $2
                        )
                    DELETE FROM "{self._schema}".outbox AS o USING oldest WHERE o.id = oldest.id
                    RETURNING o.id, o.topic, o.key, o.value, o.headers, o.partition""",  # noqa: S608 - the schema is ours
                    f"outbox:{self._schema}",
                    self._batch_size,
                ),
                key=_id_of,
            )
            if not rows:
                return 0
            records = [
                OutgoingRecord(
                    topic=row["topic"],
                    key=row["key"],
                    value=row["value"],
                    headers={
                        name: value.encode()
                        for name, value in msgspec.json.decode(row["headers"], type=dict[str, str]).items()
                    },
                    partition=row["partition"],
                )
                for row in rows
            ]
            await self._publisher.publish_all(records, timeout=_PUBLISH_SECONDS)
        self._relayed.add(len(rows), {"weir.schema": self._schema})
        return len(rows)

    async def _pause(self, stop: asyncio.Event, seconds: float) -> None:
        waiters = [asyncio.ensure_future(self._wake.wait()), asyncio.ensure_future(stop.wait())]
        try:
            await asyncio.wait(waiters, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in waiters:
                waiter.cancel()


def _id_of(row: asyncpg.Record) -> int:
    id_: int = row["id"]
    return id_
