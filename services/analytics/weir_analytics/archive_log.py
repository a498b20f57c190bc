"""Write every record of a topic to the archive, exactly once.

Positions are taken from the table, not from the consumer group: on assignment we seek to the offsets in the newest snapshot, and every
commit carries the offsets behind its records. A process that dies between writing and committing has changed nothing; its
successor begins where the table ends. The ledger is told after each commit (`weir_analytics.enter_archived`).
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from weir_common.errors import RetryError, StopError
from weir_common.ids import TenantId
from weir_common.kafka.closing import close_client
from weir_common.kafka.records import (
    ACCEPTED_AT_HEADER,
    CONSENT_HEADER,
    EVENT_ID_HEADER,
    EVENT_SUBTYPE_HEADER,
    EVENT_TYPE_HEADER,
    SCHEMA_VERSION_HEADER,
    TENANT_HEADER,
)
from weir_common.settings import KafkaSettings
from weir_common.telemetry import meter

from weir_analytics.domain.event import microseconds
from weir_analytics.domain.facts import Microseconds
from weir_analytics.domain.recent_ids import WINDOW, RecentIds, id64
from weir_analytics.enter_archived import UNKNOWN_TENANT, ArchiveTally, EnterArchived
from weir_analytics.errors import ArchiveFenced
from weir_analytics.ports import Archive, ArchivedRecord

log = structlog.get_logger(__name__)

TimeOf = Callable[[bytes], datetime | None]
"""Reads the event time from a record's value; None where there is none."""

RETRY_SECONDS: Final = 600.0
"""How long a commit is tried again before the process stops; meanwhile health says that records wait."""
STALL_SECONDS: Final = 120.0
BEHIND_SECONDS: Final = 5.0
"""Between attempts to tell the ledger of what it has missed."""
_MAX_BACKOFF_SECONDS: Final = 5.0


@dataclass(slots=True)
class _Pending:
    """What was taken from the log since the last commit."""

    base: dict[int, int] = field(default_factory=dict)
    """Where each partition stood at the last commit."""
    next_offsets: dict[int, int] = field(default_factory=dict)
    since: float | None = None
    """Monotonic time of the first record."""
    buffer: list[ArchivedRecord] = field(default_factory=list)
    """Not written to a file yet."""
    buffered_bytes: int = 0
    records: int = 0
    tally: ArchiveTally = field(default_factory=ArchiveTally)

    @property
    def ranges(self) -> dict[int, tuple[int, int]]:
        """By partition: the first offset and the one behind the last."""
        return {partition: (self.base[partition], end) for partition, end in self.next_offsets.items()}


class ArchiveLog(ConsumerRebalanceListener):  # type: ignore[misc]
    """One member of the consumer group `weir.analytics.lake.<table>`."""

    def __init__(
        self,
        *,
        topic: str,
        table: str,
        archive: Archive,
        time_of: TimeOf,
        kafka: KafkaSettings,
        commit_seconds: float,
        max_buffered_bytes: int,
        enter: EnterArchived | None = None,
        group: str | None = None,
    ) -> None:
        """`enter` tells the ledger; None for a table whose records it does not count."""
        self._topic = topic
        self._table = table
        self._archive = archive
        self._time_of = time_of
        self._kafka = kafka
        self._commit_seconds = commit_seconds
        self._max_buffered_bytes = max_buffered_bytes
        self._enter = enter
        self._behind_since: float | None = None
        """Monotonic time at which the ledger was last found not to know of all commits; they are counted again in the table."""
        self._group = group or f"weir.analytics.lake.{table}"
        self._consumer: AIOKafkaConsumer | None = None
        self._pending = _Pending()
        self._recent = RecentIds()
        self._whole_to: dict[int, int] = {}
        """By partition: to which offset the recent ids are whole. Where the table still ends there nothing is to be read again."""
        self._lock = asyncio.Lock()
        self._failure: BaseException | None = None
        self._metrics = _ArchiveMetrics(table)

    # ── life ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self, stop: asyncio.Event) -> None:
        """Archive until `stop`, then commit what is in hand. Outages of Kafka and of the store are waited out."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka.bootstrap_servers,
            group_id=self._group,
            client_id=f"{self._group}-{os.uname().nodename}-{os.getpid()}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            # Nobody waits for the archive: few large fetches cost less than many small ones. A second of 500 full-size events.
            fetch_min_bytes=2 * 1_048_576,
            fetch_max_wait_ms=1_000,
            max_partition_fetch_bytes=2 * 1_048_576,
            fetch_max_bytes=16 * 1_048_576,
            session_timeout_ms=10_000,
            heartbeat_interval_ms=2_000,
            request_timeout_ms=int(max(self._kafka.request_timeout_seconds, 11) * 1000),
        )
        consumer.subscribe(topics=[self._topic], listener=self)
        self._consumer = consumer
        await _retrying(consumer.start, f"{self._group} start", stop)
        try:
            while not stop.is_set():
                if self._failure is not None:
                    raise self._failure
                fetched = await consumer.getmany(timeout_ms=500, max_records=2_000)
                async with self._lock:
                    self._take(fetched)
                    if self._pending.buffered_bytes >= self._max_buffered_bytes:
                        await self._write()
                    if self._due():
                        await self._commit(stop)
                    elif self._behind_since is not None and time.monotonic() - self._behind_since > BEHIND_SECONDS:
                        await self._catch_up(self._pending.base)
            async with self._lock:
                await self._commit(stop)
        finally:
            await asyncio.to_thread(self._archive.abandon)
            await close_client(consumer.stop, client=self._group)

    async def health(self) -> str | None:
        """None when good. What was fetched must be committed in time."""
        if self._failure is not None:
            return repr(self._failure)
        since = self._pending.since
        if since is not None and time.monotonic() - since > self._commit_seconds + STALL_SECONDS:
            return f"records wait for their commit to the archive for {time.monotonic() - since:.0f} s"
        return None

    # ── ownership ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Commit what is in hand while it is ours; if that fails it is forgotten and its next owner reads it again."""
        async with self._lock:
            try:
                async with asyncio.timeout(self._kafka.request_timeout_seconds):
                    await self._try_commit()
            except (RetryError, OSError, TimeoutError) as error:
                log.warning("not committed before the partitions went", table=self._table, error=repr(error))
            await self._forget()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Begin where the table ends."""
        try:
            async with self._lock:
                await self._forget()
                await _retrying(lambda: self._begin(assigned), f"{self._group} assignment", asyncio.Event())
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - aiokafka only logs what a listener raises; the loop raises it
            self._failure = error

    async def _begin(self, assigned: set[TopicPartition]) -> None:
        consumer = self._consumer
        if consumer is None:
            raise StopError("assigned before start")
        state = await asyncio.to_thread(self._archive.state)
        self._pending = _Pending()
        moved = {
            where.partition
            for where in assigned
            if state.next_offsets.get(where.partition) != self._whole_to.get(where.partition)
        }
        if moved and state.accepted_until is not None:
            await asyncio.to_thread(self._remember, moved, state.accepted_until)
            self._whole_to |= {
                partition: state.next_offsets[partition] for partition in moved & state.next_offsets.keys()
            }
        async with asyncio.timeout(self._kafka.request_timeout_seconds):
            first = await consumer.beginning_offsets(list(assigned)) if assigned else {}
        for where in assigned:
            # The table may end before the log begins, where retention was faster than us: that loss is told, not hidden.
            position = state.next_offsets.get(where.partition, first[where])
            if position < first[where]:
                log.error("records left the log unarchived", partition=str(where), lost=first[where] - position)
            consumer.seek(where, position)
            self._pending.base[where.partition] = position
            self._pending.next_offsets[where.partition] = position
        if self._enter is not None:
            # A predecessor may have died between its commit and its entry. Not now: others wait for the assignment.
            self._behind_since = -math.inf

    def _remember(self, partitions: set[int], until: Microseconds) -> None:
        """Read what the table has of the last 15 minutes. All of it in a thread, where it is called: an import has a million ids in its window,
        and who sorts those on the event loop misses heartbeats, is put out of the group and reads them again."""
        ids = (id64(tenant, event_id) for tenant, event_id in self._archive.recent_ids(partitions, until - WINDOW))
        self._recent.add(ids, until)

    async def _forget(self) -> None:
        await asyncio.to_thread(self._archive.abandon)
        if self._pending.since is not None:
            # They have ids of records that are to be read again, and that would be repeats then.
            self._recent = RecentIds()
            self._whole_to = {}
        self._pending = _Pending()

    # ── records ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _take(self, fetched: dict[TopicPartition, list[Any]]) -> None:
        """Into the buffer, without what came twice. After a seek aiokafka may still hand out what it had fetched before."""
        pending = self._pending
        taken: list[ArchivedRecord] = []
        for where, messages in fetched.items():
            position = pending.next_offsets.get(where.partition)
            if position is None:
                continue
            messages = [message for message in messages if message.offset >= position]
            if messages:
                taken.extend(self._archived(message) for message in messages)
                pending.next_offsets[where.partition] = messages[-1].offset + 1
        if not taken:
            return
        if pending.since is None:
            pending.since = time.monotonic()
        ids = [id64(record.tenant_id, record.event_id) for record in taken]
        parts: dict[bool, list[ArchivedRecord]] = {True: [], False: []}
        for record, new in zip(taken, self._recent.fresh(ids), strict=True):
            parts[new].append(record)
        fresh, repeats = parts[True], parts[False]
        self._recent.add(ids, max(record.accepted_at for record in taken))
        if self._enter is not None:
            pending.tally.add(fresh, repeats)
        pending.buffer.extend(fresh)
        pending.buffered_bytes += sum(len(record.payload) for record in fresh)
        pending.records += len(fresh)
        self._metrics.duplicates(len(repeats))

    def _archived(self, message: Any) -> ArchivedRecord:
        headers: dict[str, bytes] = dict(message.headers)
        accepted_at = _accepted_at(headers.get(ACCEPTED_AT_HEADER))
        _, _, subject = (message.key or b"").partition(b"\0")
        payload = message.value or b""
        event_time = self._time_of(payload)
        return ArchivedRecord(
            # A record without a tenant belongs to nobody; it is kept, where no tenant can see it.
            tenant_id=TenantId(_text(headers.get(TENANT_HEADER)) or UNKNOWN_TENANT),
            event_id=_text(headers.get(EVENT_ID_HEADER)) or f"{self._topic}/{message.partition}/{message.offset}",
            event_type=_text(headers.get(EVENT_TYPE_HEADER)),
            event_subtype=_text(headers.get(EVENT_SUBTYPE_HEADER)),
            subject=_text(subject),
            event_at=None if event_time is None else microseconds(event_time),
            accepted_at=message.timestamp * 1_000 if accepted_at is None else accepted_at,
            schema_version=_text(headers.get(SCHEMA_VERSION_HEADER)),
            partition=message.partition,
            offset=message.offset,
            payload=payload,
            refused=_text(headers.get(CONSENT_HEADER)),
        )

    async def _write(self) -> None:
        buffer, self._pending.buffer, self._pending.buffered_bytes = self._pending.buffer, [], 0
        if buffer:
            await asyncio.to_thread(self._archive.write, buffer)

    # ── commits ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _due(self) -> bool:
        since = self._pending.since
        return since is not None and time.monotonic() - since >= self._commit_seconds

    async def _commit(self, stop: asyncio.Event) -> None:
        """Commit, again where another writer was first; begin again where we were fenced."""
        try:
            await _retrying(self._try_commit, f"{self._group} commit", stop, limit_seconds=RETRY_SECONDS)
        except ArchiveFenced as error:
            log.warning("the partitions have another owner, beginning again", table=self._table, error=str(error))
            consumer = self._consumer
            await self._forget()
            if consumer is not None and not stop.is_set():
                await self._begin(set(consumer.assignment()))

    async def _try_commit(self) -> None:
        pending = self._pending
        if pending.since is None:
            return
        started = time.perf_counter()
        await self._write()
        await asyncio.to_thread(self._archive.commit, dict(pending.base), dict(pending.next_offsets))
        self._pending = _Pending(base=dict(pending.next_offsets), next_offsets=dict(pending.next_offsets))
        self._whole_to |= pending.next_offsets
        await self._tell(pending)
        self._metrics.committed(pending.records, time.perf_counter() - started, time.monotonic() - pending.since)

    # ── the ledger ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _tell(self, committed: _Pending) -> None:
        """That it cannot be told now is no reason to stop archiving: the table knows what is missing."""
        if self._enter is None:
            return
        try:
            await self._enter.committed(committed.ranges, committed.tally.counts)
        except (RetryError, OSError) as error:
            self._fall_behind(error)

    async def _catch_up(self, committed: Mapping[int, int]) -> None:
        if self._enter is None:
            return
        try:
            await self._enter.catch_up(committed)
            self._behind_since = None
        except (RetryError, OSError) as error:
            self._fall_behind(error)

    def _fall_behind(self, error: Exception) -> None:
        self._behind_since = time.monotonic()
        log.warning("the ledger was not told of what is archived, later", table=self._table, error=repr(error))


class _ArchiveMetrics:
    """Names in base units, by table."""

    def __init__(self, table: str) -> None:
        create = meter()
        self._labels = {"weir.lake.table": table}
        self._records = create.create_counter("weir.lake.records", unit="{record}", description="Records archived")
        self._duplicates = create.create_counter(
            "weir.lake.duplicates", unit="{record}", description="Repeats that were not archived again"
        )
        self._duration = create.create_histogram(
            "weir.lake.commit.duration", unit="s", description="Writing and committing one snapshot"
        )
        self._delay = create.create_gauge(
            "weir.lake.commit.delay", unit="s", description="First record fetched to its commit, of the last commit"
        )

    def committed(self, records: int, seconds: float, delay_seconds: float) -> None:
        self._records.add(records, self._labels)
        self._duration.record(seconds, self._labels)
        self._delay.set(delay_seconds, self._labels)

    def duplicates(self, records: int) -> None:
        if records:
            self._duplicates.add(records, self._labels)


def event_time(value: bytes) -> datetime | None:
    """The time of an event of schema 2.1."""
    try:
        return _EVENT_TIME.decode(value).event_metadata.timestamp
    except msgspec.MsgspecError:
        return None


def decision_time(value: bytes) -> datetime | None:
    """The time of the payment that a fraud decision is about."""
    try:
        return _DECISION_TIME.decode(value).event_timestamp
    except msgspec.MsgspecError:
        return None


class _Metadata(msgspec.Struct, gc=False):
    timestamp: datetime


class _Event(msgspec.Struct, gc=False):
    event_metadata: _Metadata


class _Decision(msgspec.Struct, gc=False):
    event_timestamp: datetime


_EVENT_TIME: Final = msgspec.json.Decoder(_Event)
_DECISION_TIME: Final = msgspec.json.Decoder(_Decision)


@lru_cache(maxsize=1_024)
def _accepted_at(raw: bytes | None) -> Microseconds | None:
    """A header's time; None where it is none with a zone: nothing on the log may stop the archive.

    Kept, since all events of a request were accepted at the same one.
    """
    try:
        moment = datetime.fromisoformat(raw.decode()) if raw else None
    except ValueError:
        return None
    return microseconds(moment) if moment is not None and moment.tzinfo is not None else None


def _text(raw: bytes | None) -> str | None:
    return raw.decode("utf-8", "replace") if raw else None


async def _retrying(
    call: Callable[[], Any], what: str, stop: asyncio.Event, *, limit_seconds: float | None = None
) -> None:
    """Until it succeeds, with growing pauses; past the limit, or once stopping, the last error is raised."""
    delay, began = 0.1, time.monotonic()
    while True:
        try:
            await call()
            return
        except ArchiveFenced:
            raise
        except (KafkaError, RetryError, OSError, TimeoutError) as error:
            if stop.is_set() or (limit_seconds is not None and time.monotonic() - began > limit_seconds):
                raise
            log.warning("trying again", what=what, error=repr(error), delay_seconds=delay)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await stop.wait()
        delay = min(delay * 2, _MAX_BACKOFF_SECONDS)
