"""The one way in which Weir consumes: micro-batches whose effects and offsets commit in one PostgreSQL transaction.

A new consumer is a ``BatchHandler`` and one ``Consumer(...)`` in the composition root. The framework
 - seeks to the offsets stored beside the effects (never to those of the group, which may be ahead or behind),
 - fences a stale owner by a generation number in the same row: its commit finds no row and changes nothing,
 - drops repeats by the duplicate window, which is stored in the same transaction,
 - retries transient faults with jittered back-off up to a limit, puts poison records aside with their coordinates and
   reason, and stops rather than skips when that is not possible or happens too often,
 - enters what it did with each tenant's events in the ledger, in the same transaction (by the outbox, whose relay must run),
 - reports progress, lag and per-tenant counts, and is unhealthy when its position stands while the end moves.

Back-pressure is the loop itself: nothing is fetched while a batch is being applied, and aiokafka's buffer is bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import asyncpg
import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from opentelemetry import trace
from opentelemetry.context import Context

from weir_common.errors import QuarantineError, RetryError, StopError
from weir_common.ids import TenantId
from weir_common.kafka.batch_size import GROWTH_LIMIT, BatchSize
from weir_common.kafka.closing import close_client
from weir_common.kafka.producer import KafkaPublisher
from weir_common.kafka.records import TENANT_HEADER, TRACEPARENT_HEADER, OutgoingRecord, Record
from weir_common.kafka.topics import EVENTS, PROGRESS, QUARANTINE
from weir_common.kafka.window import WINDOW_SECONDS, DuplicateWindow, id64
from weir_common.ledger import consumer_record
from weir_common.ops import ConsumerProgress, TenantProgress
from weir_common.outbox import insert_into_outbox, outbox_columns
from weir_common.postgres import Connection, as_tenant
from weir_common.settings import KafkaSettings
from weir_common.telemetry import context_of, meter, statement_spans_if_sampled, traceparent_of, tracer

log = structlog.get_logger(__name__)

_T = TypeVar("_T")

_TRANSIENT = (
    RetryError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.TransactionRollbackError,
    OSError,
    TimeoutError,
)
"""What may go away by itself: connections, shutdowns and fail-overs of the database, deadlocks, deadlines."""

_RETRY_LIMIT_SECONDS = 600.0
_MAX_BACKOFF_SECONDS = 5.0
_PROGRESS_SECONDS = 2.0
_STALL_SECONDS = 30.0
_QUARANTINE_WINDOW = 1_000
_QUARANTINE_SHARE = 0.05
_QUARANTINE_FLOOR = 20


async def _no_step() -> None:
    """Nobody on this loop waits for an answer."""


class Transaction:
    """The running transaction of a micro-batch."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._tenant: TenantId | None = None
        self._outbox: list[OutgoingRecord] = []
        self._after_commit: list[Callable[[], None]] = []
        self._traceparents: dict[tuple[str, int, int], str] = {}

    async def as_tenant(self, tenant_id: TenantId) -> None:
        """Row level security shows and takes only this tenant's rows from here on."""
        if self._tenant != tenant_id:
            await as_tenant(self.connection, tenant_id)
            self._tenant = tenant_id

    def outbox(self, record: OutgoingRecord) -> None:
        """Write ``record`` to the log if and when this transaction commits."""
        self._outbox.append(record)

    def after_commit(self, call: Callable[[], None]) -> None:
        """Run once the transaction is committed (caches, wake-ups). Must not raise."""
        self._after_commit.append(call)

    def traceparent_of(self, record: Record) -> str | None:
        """The trace context for what ``record`` causes: its processing span if sampled, else its sender's context."""
        return self._traceparents.get((record.topic, record.partition, record.offset), record.traceparent)


class BatchHandler(Protocol):
    """What a consumer does with a micro-batch.

    ``batch`` holds no duplicates; records of one partition are in offset order. Effects go through ``transaction`` only.
    Raise ``QuarantineError(reason, record=…)`` to put one record aside (the batch is applied again without it),
    ``RetryError`` to try the batch again later, ``StopError`` to stop. Called again after a rollback: keep no state
    that the rollback should have undone, except through ``transaction.after_commit``.
    """

    async def apply(self, batch: Sequence[Record], transaction: Transaction) -> None: ...


@dataclass
class _Partition:
    """What we own: our generation, the next offset to apply and the duplicate window."""

    generation: int
    position: int
    window: DuplicateWindow
    end_offset: int = 0
    last_timestamp_ms: int | None = None
    """Of the last record that was applied."""
    at_end_ms: int | None = None
    """When nothing waited, as far as is known."""
    moved_at: float = field(default_factory=time.monotonic)

    def waits_since_ms(self) -> int | None:
        """When the oldest record that waits was appended, at the earliest; None when none waits or nothing is known yet.

        It came after the last that was applied, and after the end was reached: after a quiet night the first record is not a night old.
        """
        if self.end_offset <= self.position:
            return None
        return max((known for known in (self.last_timestamp_ms, self.at_end_ms) if known is not None), default=None)

    def was_at_end(self, end: int | None, when_ms: int | None) -> None:
        """The log ended at ``end`` when it was asked at ``when_ms``; that nothing waited then is noted if it is so."""
        if end is not None and when_ms is not None and self.position >= end:
            self.at_end_ms = max(self.at_end_ms or 0, when_ms)


@dataclass
class _Tally:
    applied: int = 0
    duplicates: int = 0
    busy_seconds: float = 0.0


class Consumer(ConsumerRebalanceListener):  # type: ignore[misc]
    """One consumer group member of one service. ``name`` is unique within the service; group ``weir.<service>.<name>``."""

    def __init__(
        self,
        *,
        service: str,
        name: str,
        topics: Sequence[str],
        handler: BatchHandler,
        pool: asyncpg.Pool,
        schema: str,
        kafka: KafkaSettings,
        publisher: KafkaPublisher,
        max_records: int = 500,
        catch_up_growth: int = GROWTH_LIMIT,
        max_wait_seconds: float = 0.1,
        fetch_min_bytes: int = 1,
        deduplicate: bool = True,
        on_assigned: Callable[[], None] | None = None,
        wake_outbox: Callable[[], None] | None = None,
        group: str | None = None,
        step: Callable[[], Awaitable[None]] = _no_step,
    ) -> None:
        """``step`` is awaited between pieces of a batch's work, for services on whose loop somebody waits for an answer."""
        self._step = step
        self.service = service
        self.name = name
        self._topics = tuple(topics)
        self._handler = handler
        self._pool = pool
        self._schema = schema
        self._kafka = kafka
        self._publisher = publisher
        self._batch_size = BatchSize(max_records, catch_up_growth)
        self._max_wait_ms = int(max_wait_seconds * 1000)
        # 1: a batch is whatever is there, as soon as it is there. More: the broker waits for that much, at most max_wait.
        self._fetch_min_bytes = fetch_min_bytes
        self._deduplicate = deduplicate
        self._on_assigned = on_assigned
        self._wake_outbox = wake_outbox
        self._group = group or f"weir.{service}.{name}"
        self._instance = f"{os.uname().nodename}-{os.getpid()}"
        self._partitions: dict[TopicPartition, _Partition] = {}
        self._lock = asyncio.Lock()
        self._failure: BaseException | None = None
        self._consumer: AIOKafkaConsumer | None = None
        self._tallies: dict[TenantId, _Tally] = defaultdict(_Tally)
        self._recent: list[bool] = []
        self._last_tick = time.monotonic()
        self._metrics = _ConsumerMetrics(service, name)

    # ── life ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until ``stop``; the batch in hand is finished first. Raises what makes going on impossible."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka.bootstrap_servers,
            group_id=self._group,
            client_id=f"{self._group}-{self._instance}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=self._max_wait_ms,
            fetch_min_bytes=self._fetch_min_bytes,
            max_partition_fetch_bytes=2 * 1_048_576,
            fetch_max_bytes=16 * 1_048_576,
            session_timeout_ms=10_000,
            heartbeat_interval_ms=2_000,
            request_timeout_ms=int(max(self._kafka.request_timeout_seconds, 11) * 1000),
            metadata_max_age_ms=60_000,
        )
        consumer.subscribe(topics=list(self._topics), listener=self)
        self._consumer = consumer
        await self._start(consumer, stop)
        reporter = asyncio.create_task(self._report_progress(stop), name=f"{self._group} progress")
        try:
            while not stop.is_set():
                if self._failure is not None:
                    raise self._failure
                if reporter.done():
                    reporter.result()
                self._last_tick = time.monotonic()
                fetched = await consumer.getmany(timeout_ms=self._max_wait_ms, max_records=self._batch_size.now)
                self._batch_size.filled(sum(len(messages) for messages in fetched.values()))
                if fetched:
                    await self._apply(fetched, stop)
                self._note_ends(consumer)
        finally:
            reporter.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reporter
            await close_client(consumer.stop, client=self._group)

    def _note_ends(self, consumer: AIOKafkaConsumer) -> None:
        """Each answer to a fetch says where the log ended then: more often than the reports ask, which is only every two seconds."""
        for where in consumer.assignment() & self._partitions.keys():
            self._partitions[where].was_at_end(consumer.highwater(where), consumer.last_poll_timestamp(where))

    async def _start(self, consumer: AIOKafkaConsumer, stop: asyncio.Event) -> None:
        for delay in _backoff(_RETRY_LIMIT_SECONDS):
            try:
                async with asyncio.timeout(self._kafka.request_timeout_seconds * 3):
                    await consumer.start()
                return
            except (KafkaError, TimeoutError) as error:
                log.warning("Kafka does not answer yet", consumer=self._group, error=repr(error))
            if await _stopped(stop, delay):
                return
        raise StopError(
            f"{self._group}: Kafka at {self._kafka.bootstrap_servers} did not answer for {_RETRY_LIMIT_SECONDS} s"
        )

    async def health(self) -> str | None:
        """None when good; else what is wrong. Progress counts, not liveness: the position must move while the end does."""
        if self._failure is not None:
            return repr(self._failure)
        now = time.monotonic()
        if now - self._last_tick > _STALL_SECONDS:
            return f"the consumer loop has not turned for {now - self._last_tick:.0f} s"
        for where, owned in self._partitions.items():
            if owned.end_offset > owned.position and now - owned.moved_at > _STALL_SECONDS:
                return (
                    f"{where.topic}/{where.partition} stands at {owned.position} "
                    f"while the end is {owned.end_offset}, for {now - owned.moved_at:.0f} s"
                )
        return None

    # ── ownership ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Finish the batch in hand, then forget: the next owner reads what we committed."""
        async with self._lock:
            for where in revoked:
                self._partitions.pop(where, None)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Take a new generation for each partition, read its window, seek to its stored offset."""
        try:
            async with self._lock:
                self._partitions.clear()
                await _retrying(lambda: self._take_ownership(assigned), what=f"{self._group} assignment")
            if self._on_assigned is not None:
                self._on_assigned()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - handed on by the loop
            # aiokafka only logs what a listener raises; the loop must see it, or we would consume from anywhere.
            self._failure = error

    async def _take_ownership(self, assigned: set[TopicPartition]) -> None:
        consumer = self._consumer
        if consumer is None:
            raise StopError("assigned before start")
        for where in sorted(assigned):
            async with self._pool.acquire(timeout=5) as connection, connection.transaction():
                row = await connection.fetchrow(
                    f'INSERT INTO "{self._schema}".consumer_offset AS o '  # noqa: S608 - the schema is ours
                    "(consumer, topic, partition, next_offset, generation, owner) VALUES ($1, $2, $3, -1, 1, $4) "
                    "ON CONFLICT (consumer, topic, partition) "
                    "DO UPDATE SET generation = o.generation + 1, owner = $4, updated_at = now() "
                    "RETURNING next_offset, generation",
                    self.name,
                    where.topic,
                    where.partition,
                    self._instance,
                )
                windows = await connection.fetch(
                    f'SELECT ids, extract(epoch FROM now() - applied_at)::float8 AS age FROM "{self._schema}".applied_window '  # noqa: S608 - the schema is ours
                    "WHERE consumer = $1 AND topic = $2 AND partition = $3 AND applied_at > now() - make_interval(secs => $4) "
                    "ORDER BY next_offset",
                    self.name,
                    where.topic,
                    where.partition,
                    WINDOW_SECONDS,
                )
            if row is None:
                raise RetryError(f"no offset row for {where}")
            window = DuplicateWindow()
            now = time.monotonic()
            for stored in windows:
                window.add(stored["ids"], now - stored["age"])
            position = row["next_offset"]
            if position < 0:
                async with asyncio.timeout(self._kafka.request_timeout_seconds):
                    position = (await consumer.beginning_offsets([where]))[where]
            consumer.seek(where, position)
            self._partitions[where] = _Partition(row["generation"], position, window)

    # ── a micro-batch ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _apply(self, fetched: dict[TopicPartition, list[object]], stop: asyncio.Event) -> None:
        async with self._lock:
            batch: dict[TopicPartition, list[Record]] = {}
            for where, messages in fetched.items():
                owned = self._partitions.get(where)
                if owned is None:
                    continue
                records = [_record(message) for message in messages]
                # After a seek aiokafka may still hand out what it had fetched before: take only what comes next.
                records = [record for record in records if record.offset >= owned.position]
                if records:
                    batch[where] = records
                await self._step()
            if not batch:
                return
            quarantined: set[tuple[str, int, int]] = set()
            isolate = False
            started = time.monotonic()
            delays = _backoff(_RETRY_LIMIT_SECONDS)
            while batch:
                try:
                    if isolate:
                        await self._commit_one_by_one(batch, quarantined)
                    else:
                        await self._commit(batch, quarantined)
                    return
                except QuarantineError as error:
                    record = error.record or _only(batch, quarantined)
                    if record is None:
                        isolate = True
                        continue
                    await self._quarantine(record, error, stop)
                    quarantined.add((record.topic, record.partition, record.offset))
                except _Fenced as error:
                    log.warning("partition has a new owner", consumer=self._group, partition=str(error.where))
                    self._partitions.pop(error.where, None)
                    batch.pop(error.where, None)
                except _TRANSIENT as error:
                    self._metrics.retries.add(1, self._metrics.labels)
                    delay = next(delays, None)
                    if delay is None:
                        raise StopError(
                            f"{self._group}: the same batch failed for {time.monotonic() - started:.0f} s: {error!r}"
                        ) from error
                    log.warning(
                        "batch failed, trying again", consumer=self._group, error=repr(error), delay_seconds=delay
                    )
                    self._last_tick = time.monotonic()
                    if await _stopped(stop, delay):
                        return

    async def _commit_one_by_one(
        self, batch: dict[TopicPartition, list[Record]], quarantined: set[tuple[str, int, int]]
    ) -> None:
        """The handler refused a record without naming it: find it by applying each record in its own transaction."""
        for where in list(batch):
            while batch[where]:
                record = batch[where][0]
                try:
                    await self._commit({where: [record]}, quarantined)
                except QuarantineError as error:
                    error.record = error.record or record
                    raise
                batch[where] = batch[where][1:]
            del batch[where]

    async def _commit(self, batch: dict[TopicPartition, list[Record]], quarantined: set[tuple[str, int, int]]) -> None:
        cpu = time.thread_time()
        began = time.perf_counter()
        fresh, ids, duplicates = self._without_repeats(batch, quarantined)
        await self._step()
        with _batch_spans(self._group, fresh) as traceparents, statement_spans_if_sampled():
            async with self._pool.acquire(timeout=5) as connection:
                async with connection.transaction():
                    pending = await self._advance_offsets(connection, batch)
                    transaction = Transaction(connection)
                    transaction._traceparents = traceparents  # the framework's own class
                    todo = [record for record in fresh if TopicPartition(record.topic, record.partition) in pending]
                    if todo:
                        await self._handler.apply(todo, transaction)
                        await self._step()
                    entry = self._ledger_entry(batch, pending, todo, duplicates, quarantined)
                    outgoing = [*transaction._outbox, *([entry] if entry is not None else [])]
                    await self._store(connection, outgoing, batch, pending, ids)
                committed = time.monotonic()
        for where, records in batch.items():
            owned = self._partitions[where]
            owned.position = records[-1].offset + 1
            owned.last_timestamp_ms = records[-1].timestamp_ms
            owned.moved_at = committed
            if where in ids:
                owned.window.add(ids[where], committed)
        for call in transaction._after_commit:
            call()
        if transaction._outbox and self._wake_outbox is not None:
            self._wake_outbox()
        self._tally(todo, duplicates, time.thread_time() - cpu)
        self._metrics.batch(len(todo), len(duplicates), time.perf_counter() - began)

    def _ledger_entry(
        self,
        batch: dict[TopicPartition, list[Record]],
        pending: set[TopicPartition],
        applied: Sequence[Record],
        duplicates: Sequence[Record],
        quarantined: set[tuple[str, int, int]],
    ) -> OutgoingRecord | None:
        """What the books say of this transaction: only events, and only of partitions whose effects it holds."""
        if EVENTS not in self._topics:
            return None

        def counted(records: Iterable[Record]) -> Iterator[Record]:
            return (
                record
                for record in records
                if record.topic == EVENTS and TopicPartition(record.topic, record.partition) in pending
            )

        put_aside = (
            record
            for where in pending
            for record in batch[where]
            if (record.topic, record.partition, record.offset) in quarantined
        )
        return consumer_record(f"{self.service}.{self.name}", counted(applied), counted(duplicates), counted(put_aside))

    def _without_repeats(
        self, batch: dict[TopicPartition, list[Record]], quarantined: set[tuple[str, int, int]]
    ) -> tuple[list[Record], dict[TopicPartition, bytes], list[Record]]:
        fresh: list[Record] = []
        duplicates: list[Record] = []
        ids: dict[TopicPartition, bytes] = {}
        for where, records in batch.items():
            known = self._partitions[where].window.ids
            seen: dict[bytes, None] = {}
            for record in records:
                if quarantined and (record.topic, record.partition, record.offset) in quarantined:
                    continue
                if self._deduplicate:
                    id_ = id64(record)
                    if id_ in known or id_ in seen:
                        duplicates.append(record)
                        continue
                    seen[id_] = None
                fresh.append(record)
            if seen:
                ids[where] = b"".join(seen)
        return fresh, ids, duplicates

    async def _advance_offsets(
        self, connection: Connection, batch: dict[TopicPartition, list[Record]]
    ) -> set[TopicPartition]:
        """Move the stored offsets first: the row lock orders two owners, and only the newest generation finds its row.

        Gives the partitions whose effects are still to be applied: after an unknown commit some may be done already.
        """
        where_to = {where: records[-1].offset + 1 for where, records in sorted(batch.items())}
        owned = [self._partitions[where] for where in where_to]
        rows = await connection.fetch(
            f'UPDATE "{self._schema}".consumer_offset AS o SET next_offset = moved.next_offset, updated_at = now() '  # noqa: S608 - the schema is ours
            "FROM unnest($2::text[], $3::integer[], $4::bigint[], $5::bigint[], $6::bigint[]) "
            "AS moved (topic, partition, next_offset, position, generation) "
            "WHERE o.consumer = $1 AND o.topic = moved.topic AND o.partition = moved.partition "
            "AND o.generation = moved.generation AND o.next_offset IN (-1, moved.position) "
            "AND o.next_offset < moved.next_offset RETURNING o.topic, o.partition",
            self.name,
            [where.topic for where in where_to],
            [where.partition for where in where_to],
            list(where_to.values()),
            [one.position for one in owned],
            [one.generation for one in owned],
        )
        moved = {TopicPartition(row["topic"], row["partition"]) for row in rows}
        if still := {where: target for where, target in where_to.items() if where not in moved}:
            await self._explain_unmoved(connection, still)
        return moved

    async def _explain_unmoved(self, connection: Connection, still: dict[TopicPartition, int]) -> None:
        """Returns if all of it was done before; raises what else keeps an offset from moving."""
        rows = await connection.fetch(
            f'SELECT o.topic, o.partition, o.next_offset, o.generation FROM "{self._schema}".consumer_offset AS o '  # noqa: S608 - the schema is ours
            "JOIN unnest($2::text[], $3::integer[]) AS asked (topic, partition) USING (topic, partition) "
            "WHERE o.consumer = $1 ORDER BY o.topic, o.partition FOR UPDATE OF o",
            self.name,
            [where.topic for where in still],
            [where.partition for where in still],
        )
        stored = {TopicPartition(row["topic"], row["partition"]): row for row in rows}
        for where, target in still.items():
            owned = self._partitions[where]
            row = stored.get(where)
            if row is None or row["generation"] != owned.generation:
                raise _Fenced(where)
            if row["next_offset"] < target:
                raise StopError(
                    f"{self._group}: {where} is stored at {row['next_offset']}, we stand at {owned.position}"
                )

    async def _store(
        self,
        connection: Connection,
        outgoing: Sequence[OutgoingRecord],
        batch: dict[TopicPartition, list[Record]],
        pending: set[TopicPartition],
        ids: dict[TopicPartition, bytes],
    ) -> None:
        """What is to be sent, and the ids of what was applied: one statement, since each round trip costs more than it does."""
        windows = [where for where in pending if where in ids]
        if not outgoing and not windows:
            return
        await connection.execute(
            f'WITH remembered AS (INSERT INTO "{self._schema}".applied_window (consumer, topic, partition, next_offset, ids) '  # noqa: S608 - the schema is ours
            "SELECT $6, topic, partition, next_offset, ids "
            "FROM unnest($7::text[], $8::integer[], $9::bigint[], $10::bytea[]) AS seen (topic, partition, next_offset, ids)) "
            + insert_into_outbox(self._schema),
            *outbox_columns(outgoing),
            self.name,
            [where.topic for where in windows],
            [where.partition for where in windows],
            [batch[where][-1].offset + 1 for where in windows],
            [ids[where] for where in windows],
        )

    # ── putting aside ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _quarantine(self, record: Record, error: QuarantineError, stop: asyncio.Event) -> None:
        """Write the record with its coordinates and reason; if that is not possible, stop: never skip."""
        self._recent = [*self._recent[-(_QUARANTINE_WINDOW - 1) :], True]
        refused = sum(self._recent)
        if refused >= _QUARANTINE_FLOOR and refused > _QUARANTINE_SHARE * len(self._recent):
            raise StopError(
                f"{self._group}: {refused} of the last {len(self._recent)} records were refused, the last for {error}; "
                "that is a fault of ours or of a sender's release, not of single records"
            )
        headers = {
            **record.headers,
            "weir-quarantine-reason": error.reason.encode(),
            "weir-quarantine-detail": error.detail.encode()[:500],
            "weir-quarantine-consumer": self._group.encode(),
            "weir-quarantine-source": f"{record.topic}/{record.partition}/{record.offset}".encode(),
        }
        outgoing = OutgoingRecord(topic=QUARANTINE, key=record.key, value=record.value, headers=headers)
        try:
            await _retrying(lambda: self._publisher.publish(outgoing), what=f"{self._group} quarantine")
        except _TRANSIENT as fault:
            raise StopError(f"{self._group}: the quarantine does not take {outgoing.headers!r}") from fault
        self._metrics.quarantined.add(1, {**self._metrics.labels, "weir.quarantine.reason": error.reason})
        log.error(
            "record put aside",
            consumer=self._group,
            reason=error.reason,
            detail=error.detail,
            source=f"{record.topic}/{record.partition}/{record.offset}",
            **{"weir.tenant.id": record.headers.get(TENANT_HEADER, b"").decode("utf-8", "replace")},
        )

    # ── telling ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _tally(self, applied: Sequence[Record], duplicates: Sequence[Record], cpu_seconds: float) -> None:
        self._recent = [*self._recent, *([False] * len(applied))][-_QUARANTINE_WINDOW:]
        share = cpu_seconds / max(1, len(applied))
        for record in applied:
            tally = self._tallies[TenantId(record.headers.get(TENANT_HEADER, b"").decode("utf-8", "replace"))]
            tally.applied += 1
            tally.busy_seconds += share
        for record in duplicates:
            self._tallies[TenantId(record.headers.get(TENANT_HEADER, b"").decode("utf-8", "replace"))].duplicates += 1

    async def _report_progress(self, stop: asyncio.Event) -> None:
        prune_at = 0.0
        while not await _stopped(stop, _PROGRESS_SECONDS):
            try:
                await self._report_once()
                if time.monotonic() > prune_at:
                    await self._prune_windows()
                    prune_at = time.monotonic() + 60
            except (KafkaError, *_TRANSIENT) as error:
                log.warning("progress not reported", consumer=self._group, error=repr(error))

    async def _report_once(self) -> None:
        consumer = self._consumer
        if consumer is None or not self._partitions:
            return
        asked_ms = time.time_ns() // 1_000_000
        async with asyncio.timeout(self._kafka.request_timeout_seconds):
            ends = await consumer.end_offsets(list(self._partitions))
        tallies, self._tallies = self._tallies, defaultdict(_Tally)
        reports: list[OutgoingRecord] = []
        now_ms = time.time_ns() // 1_000_000
        for index, (where, owned) in enumerate(list(self._partitions.items())):
            owned.end_offset = ends.get(where, owned.end_offset)
            owned.was_at_end(owned.end_offset, asked_ms)
            if owned.end_offset <= owned.position:
                owned.moved_at = time.monotonic()
            since_ms = owned.waits_since_ms()
            lag_seconds = 0.0 if since_ms is None else max(0.0, (now_ms - since_ms) / 1000)
            self._metrics.lag(where, lag_seconds, max(0, owned.end_offset - owned.position))
            progress = ConsumerProgress(
                service=self.service,
                consumer=self.name,
                instance=self._instance,
                topic=where.topic,
                partition=where.partition,
                position=owned.position,
                end_offset=owned.end_offset,
                reported_at_ms=now_ms,
                position_timestamp_ms=since_ms,
                # Counts are of the whole consumer; they ride on one of the reports, so that a sum is right.
                tenants={
                    str(tenant): TenantProgress(tally.applied, tally.duplicates, tally.busy_seconds)
                    for tenant, tally in (tallies.items() if index == 0 else ())
                },
                busy_seconds=sum(tally.busy_seconds for tally in tallies.values()) if index == 0 else 0.0,
            )
            reports.append(
                OutgoingRecord(
                    topic=PROGRESS,
                    key=f"{self.service}/{self.name}/{where.topic}/{where.partition}".encode(),
                    value=msgspec.json.encode(progress),
                )
            )
        await self._publisher.publish_all(reports)

    async def _prune_windows(self) -> None:
        async with self._pool.acquire(timeout=5) as connection:
            await connection.execute(
                f'DELETE FROM "{self._schema}".applied_window WHERE consumer = $1 '  # noqa: S608 - the schema is ours
                "AND applied_at < now() - make_interval(secs => $2)",
                self.name,
                WINDOW_SECONDS * 2,
            )


class _Fenced(Exception):
    """Another instance took the partition after us."""

    def __init__(self, where: TopicPartition) -> None:
        super().__init__(str(where))
        self.where = where


class _ConsumerMetrics:
    """Names in base units; labelled by service and consumer, lag also by topic and partition."""

    def __init__(self, service: str, name: str) -> None:
        self.labels: dict[str, str] = {"weir.service": service, "weir.consumer": name}
        create = meter()
        self._applied = create.create_counter(
            "weir.consumer.applied", unit="{record}", description="Records whose effects were committed"
        )
        self._duplicates = create.create_counter(
            "weir.consumer.duplicates", unit="{record}", description="Repeats dropped by the window"
        )
        self.retries = create.create_counter(
            "weir.consumer.retries", unit="{attempt}", description="Micro-batches tried again"
        )
        self.quarantined = create.create_counter(
            "weir.consumer.quarantined", unit="{record}", description="Records put aside"
        )
        self._duration = create.create_histogram(
            "weir.consumer.batch.duration", unit="s", description="A micro-batch, fetched to committed"
        )
        self._lag_seconds = create.create_gauge(
            "weir.consumer.time.lag", unit="s", description="Age of the oldest record not applied"
        )
        self._lag_records = create.create_gauge(
            "weir.consumer.backlog", unit="{record}", description="Records not applied"
        )

    def batch(self, applied: int, duplicates: int, seconds: float) -> None:
        self._applied.add(applied, self.labels)
        if duplicates:
            self._duplicates.add(duplicates, self.labels)
        self._duration.record(seconds, self.labels)

    def lag(self, where: TopicPartition, seconds: float, records: int) -> None:
        labels = {
            **self.labels,
            "messaging.destination.name": where.topic,
            "messaging.destination.partition.id": str(where.partition),
        }
        self._lag_seconds.set(seconds, labels)
        self._lag_records.set(records, labels)


def _record(message: object) -> Record:
    headers = {name: value for name, value in message.headers}  # type: ignore[attr-defined]  # noqa: C416 - later names win
    return Record(
        topic=message.topic,  # type: ignore[attr-defined]
        partition=message.partition,  # type: ignore[attr-defined]
        offset=message.offset,  # type: ignore[attr-defined]
        timestamp_ms=message.timestamp,  # type: ignore[attr-defined]
        key=message.key or b"",  # type: ignore[attr-defined]
        value=message.value or b"",  # type: ignore[attr-defined]
        headers=headers,
    )


def _only(batch: dict[TopicPartition, list[Record]], quarantined: set[tuple[str, int, int]]) -> Record | None:
    left = [
        record
        for records in batch.values()
        for record in records
        if (record.topic, record.partition, record.offset) not in quarantined
    ]
    return left[0] if len(left) == 1 else None


@contextlib.contextmanager
def _batch_spans(group: str, records: Sequence[Record]) -> Iterator[dict[tuple[str, int, int], str]]:
    """One span for the batch, linked to the sampled senders; and for each sampled record one in the sender's own trace.

    Gives the trace context of each sampled record's span, for what the record causes.
    """
    sampled: list[tuple[Record, trace.SpanContext, Context]] = []
    for record in records:
        # The last digit are the flags, of which one says that the sender's trace is kept. Most are not.
        if not record.headers.get(TRACEPARENT_HEADER, b"").endswith(b"1"):
            continue
        remote = context_of(record.traceparent)
        if remote is not None:
            sampled.append((record, trace.get_current_span(remote).get_span_context(), remote))
    if not records:
        yield {}
        return
    topic = records[0].topic
    attributes: dict[str, str | int] = {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": topic,
        "messaging.consumer.group.name": group,
        "messaging.batch.message_count": len(records),
    }
    with tracer().start_as_current_span(
        f"process {topic}",
        kind=trace.SpanKind.CONSUMER,
        attributes=attributes,
        links=[trace.Link(span_context) for _, span_context, _ in sampled[:32]],
    ) as batch_span:
        spans: list[trace.Span] = []
        traceparents: dict[tuple[str, int, int], str] = {}
        for record, _, context in sampled:
            span = tracer().start_span(
                f"process {topic}",
                context=context,
                kind=trace.SpanKind.CONSUMER,
                attributes={
                    **attributes,
                    "messaging.batch.message_count": 1,
                    "weir.tenant.id": record.headers.get(TENANT_HEADER, b"").decode("utf-8", "replace"),
                    "messaging.destination.partition.id": str(record.partition),
                    "messaging.kafka.offset": record.offset,
                },
                links=[trace.Link(batch_span.get_span_context())],
            )
            spans.append(span)
            traceparent = traceparent_of(trace.set_span_in_context(span))
            if traceparent is not None:
                traceparents[(record.topic, record.partition, record.offset)] = traceparent
        try:
            yield traceparents
        except BaseException as error:
            for span in spans:
                span.set_attribute("error.type", type(error).__qualname__)
                span.set_status(trace.StatusCode.ERROR)
            raise
        finally:
            for span in spans:
                span.end()


def _backoff(limit_seconds: float) -> Iterator[float]:
    """Full-jitter delays, doubling from 50 ms to 5 s, until their upper bounds sum to the limit."""
    bound, spent = 0.05, 0.0
    while spent < limit_seconds:
        yield random.uniform(bound / 2, bound)  # noqa: S311 - jitter, not a secret
        spent += bound
        bound = min(bound * 2, _MAX_BACKOFF_SECONDS)


async def _retrying(call: Callable[[], Awaitable[_T]], *, what: str, limit_seconds: float = 60.0) -> _T:
    for delay in _backoff(limit_seconds):
        try:
            return await call()
        except (KafkaError, *_TRANSIENT) as error:
            log.warning("trying again", what=what, error=repr(error), delay_seconds=delay)
        await asyncio.sleep(delay)
    return await call()


async def _stopped(stop: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return False
    return True
