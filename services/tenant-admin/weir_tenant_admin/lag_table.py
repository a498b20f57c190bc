"""What the consumers of every service last reported of themselves, in memory, fed by ``weir.ops.progress.v1``."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from weir_common.ids import TenantId
from weir_common.kafka.closing import close_client
from weir_common.kafka.partitioner import tenant_partitions
from weir_common.kafka.topics import EVENTS, PROGRESS
from weir_common.ops import ConsumerProgress
from weir_common.settings import KafkaSettings

from weir_tenant_admin.domain.scaling import Measurements

log = structlog.get_logger(__name__)

RATE_SECONDS = 60.0
MAX_AGE_SECONDS = 15.0
FORGET_SECONDS = 600.0
_MAX_BACKOFF_SECONDS = 5.0

_decoder = msgspec.json.Decoder(ConsumerProgress)


class _ConsumerName(NamedTuple):
    service: str
    consumer: str


@dataclass(frozen=True, slots=True)
class _Applied:
    at: float
    events: int
    busy_seconds: float


class LagTable:
    """Progress by service, consumer and partition; rates and costs by consumer and tenant over the last minute."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._partitions: dict[_ConsumerName, dict[int, ConsumerProgress]] = defaultdict(dict)
        self._applied: dict[tuple[_ConsumerName, TenantId], deque[_Applied]] = defaultdict(deque)
        self._instances: dict[str, dict[str, float]] = defaultdict(dict)

    def take(self, progress: ConsumerProgress) -> None:
        """One report. Only the log of events counts: that is what a tenant's load consists of."""
        if progress.topic != EVENTS:
            return
        at = progress.reported_at_ms / 1000
        consumer = _ConsumerName(progress.service, progress.consumer)
        self._partitions[consumer][progress.partition] = progress
        self._instances[progress.service][progress.instance] = at
        for tenant, counts in progress.tenants.items():
            recent = self._applied[(consumer, TenantId(tenant))]
            recent.append(_Applied(at, counts.applied, counts.busy_seconds))
            while recent and recent[0].at < at - RATE_SECONDS:
                recent.popleft()

    def measure(self, service: str, tenant_id: TenantId, now: float) -> Measurements:
        """A tenant's load on a service as of ``now`` (Unix seconds); values are None when a report is missing or old.

        Where a service reads the log with several consumers, the one that is furthest behind counts, and an event costs
        what all of them spend on it.
        """
        partitions = tenant_partitions(tenant_id)
        current = max(1, sum(at > now - MAX_AGE_SECONDS for at in self._instances[service].values()))
        consumers = self._consumers(service)
        known = {partition: self._reports(consumers, partition, now) for partition in partitions}
        fresh = {
            partition: [report for report in reports if report.reported_at_ms / 1000 > now - MAX_AGE_SECONDS]
            for partition, reports in known.items()
        }
        told = [partition for partition in partitions if known[partition] and fresh[partition] == known[partition]]
        if len(told) < len(partitions):
            ever = sum(bool(reports) for reports in known.values())
            why = (
                f"{len(told)} of {len(partitions)} partitions reported within {MAX_AGE_SECONDS:.0f} s by each of their "
                f"consumers ({ever} ever)"
            )
            return Measurements(None, None, None, None, None, current, why)
        reports = [report for partition in partitions for report in fresh[partition]]
        events, busy = self._load(consumers, tenant_id, now)
        # A shared partition's backlog is everybody's.
        backlog = max(
            sum(report.backlog for report in reports if report.consumer == consumer.consumer) for consumer in consumers
        )
        oldest = [report.position_timestamp_ms for report in reports if report.position_timestamp_ms is not None]
        return Measurements(
            rate=events / RATE_SECONDS,
            backlog=backlog,
            lag_seconds=max(0.0, now - min(oldest) / 1000) if oldest else 0.0,
            seconds_per_event=self._cost(consumers, events, busy, backlog, now),
            age_s=round(now - min(report.reported_at_ms for report in reports) / 1000, 3),
            current=current,
            source=f"{PROGRESS}, partitions {', '.join(str(partition) for partition in partitions)}",
        )

    def _consumers(self, service: str) -> list[_ConsumerName]:
        return sorted(consumer for consumer in self._partitions if consumer.service == service)

    def _reports(self, consumers: list[_ConsumerName], partition: int, now: float) -> list[ConsumerProgress]:
        """One a consumer. One that ended is missed for ten minutes, during which its tenants hold, then forgotten."""
        found = [self._partitions[consumer].get(partition) for consumer in consumers]
        return [
            report for report in found if report is not None and report.reported_at_ms / 1000 > now - FORGET_SECONDS
        ]

    def _load(self, consumers: list[_ConsumerName], tenant_id: TenantId, now: float) -> tuple[int, float]:
        """Events of the last minute, and the seconds that all consumers together spent on them."""
        events, busy = 0, 0.0
        for consumer in consumers:
            recent = [one for one in self._applied.get((consumer, tenant_id), ()) if one.at > now - RATE_SECONDS]
            events = max(events, sum(one.events for one in recent))
            busy += sum(one.busy_seconds for one in recent)
        return events, busy

    def _cost(self, consumers: list[_ConsumerName], events: int, busy: float, backlog: int, now: float) -> float | None:
        """Seconds an event. Without traffic of the tenant's own an event costs what the service spends on one; and when
        nobody had any, a backlog's cost is not known: a consumer that stands still must not look like one without work.
        """
        if events > 0:
            return busy / events
        tenants = {tenant_id for consumer, tenant_id in self._applied if consumer in consumers}
        loads = [self._load(consumers, tenant_id, now) for tenant_id in tenants]
        all_events, all_busy = sum(load[0] for load in loads), sum(load[1] for load in loads)
        if all_events > 0:
            return all_busy / all_events
        return None if backlog > 0 else 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the topic from now on; outages of Kafka are waited out, and what is known grows old meanwhile."""
        backoff = 0.1
        while not stop.is_set():
            try:
                await self._follow(stop)
                backoff = 0.1
            except (KafkaError, TimeoutError, OSError) as error:
                log.warning("progress cannot be read, trying again", error=repr(error))
                try:
                    async with asyncio.timeout(backoff):
                        await stop.wait()
                except TimeoutError:
                    backoff = min(backoff * 2, _MAX_BACKOFF_SECONDS)

    async def _follow(self, stop: asyncio.Event) -> None:
        where = TopicPartition(PROGRESS, 0)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka.bootstrap_servers,
            enable_auto_commit=False,
            auto_offset_reset="latest",
            # One partition: see CredentialDirectory.
            fetch_max_wait_ms=1_000,
            request_timeout_ms=int(self._kafka.request_timeout_seconds * 1000),
        )
        consumer.assign([where])
        try:
            async with asyncio.timeout(self._kafka.request_timeout_seconds * 2):
                await consumer.start()
                await consumer.seek_to_end(where)
            while not stop.is_set():
                async with asyncio.timeout(self._kafka.request_timeout_seconds):
                    fetched = await consumer.getmany(timeout_ms=500, max_records=2_000)
                for message in fetched.get(where, []):
                    try:
                        self.take(_decoder.decode(message.value or b""))
                    except msgspec.DecodeError as error:
                        log.error("unreadable progress report", error=str(error))
        finally:
            await close_client(consumer.stop, client="progress")


def unix_now() -> float:
    """The clock of the process."""
    return time.time()
