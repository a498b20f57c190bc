"""Counting requests by tenant, route and minute, for service levels and bills; reported on ``weir.ops.requests.v1``."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections import defaultdict
from dataclasses import dataclass, field

import msgspec
import structlog

from weir_common.errors import RetryError
from weir_common.ids import EventId, TenantId, uuid7
from weir_common.kafka.producer import KafkaPublisher
from weir_common.kafka.records import OutgoingRecord, event_headers
from weir_common.kafka.topics import REQUESTS
from weir_common.ops import RequestCounts

log = structlog.get_logger(__name__)

_REPORT_SECONDS = 5.0
_GAMMA = math.log(1.2)
_MAX_WAITING_REPORTS = 10_000


def latency_bucket(seconds: float) -> int:
    """Log histogram bucket: ceil(ln(seconds / 0.1 ms) / ln 1.2), at least 0."""
    return max(0, math.ceil(math.log(max(seconds, 1e-4) / 1e-4) / _GAMMA))


@dataclass
class _Row:
    total: int = 0
    by_status: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    within_50ms: int = 0
    within_5s: int = 0
    latency_buckets: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    events: int = 0


class RequestMeter:
    """Counts in memory, reports every five seconds. A kill loses at most the last interval; the gateway's log has it."""

    def __init__(self, publisher: KafkaPublisher, service: str) -> None:
        self._publisher = publisher
        self._service = service
        self._instance = f"{os.uname().nodename}-{os.getpid()}"
        self._rows: dict[tuple[TenantId, str, str, int], _Row] = defaultdict(_Row)
        self._waiting: list[OutgoingRecord] = []

    def count(
        self, tenant_id: TenantId, route: str, method: str, status: int, seconds: float, *, events: int = 0
    ) -> None:
        """One request that was answered: route template, status, seconds it took."""
        row = self._rows[(tenant_id, route, method, int(time.time() // 60))]
        row.total += 1
        row.by_status[str(status)] += 1
        if status < 500:
            row.within_50ms += seconds <= 0.05
            row.within_5s += seconds <= 5.0
        row.latency_buckets[latency_bucket(seconds)] += 1
        row.events += events

    def count_elsewhere(self, tenant_id: TenantId, route: str, method: str, status: int, number: int) -> None:
        """So many requests that were answered before this service, at once; how long that took nobody measured."""
        row = self._rows[(tenant_id, route, method, int(time.time() // 60))]
        row.total += number
        row.by_status[str(status)] += number
        if status < 500:
            row.within_50ms += number
            row.within_5s += number

    async def run(self, stop: asyncio.Event) -> None:
        """Report until ``stop``, then once more."""
        while not stop.is_set():
            try:
                async with asyncio.timeout(_REPORT_SECONDS):
                    await stop.wait()
            except TimeoutError:
                pass
            await self.report()

    async def report(self) -> None:
        """Send what was counted; reports that Kafka does not take wait, up to a bound, and are sent with the next."""
        rows, self._rows = self._rows, defaultdict(_Row)
        for (tenant_id, route, method, minute), row in rows.items():
            report_id = str(uuid7())
            counts = RequestCounts(
                report_id=report_id,
                service=self._service,
                instance=self._instance,
                tenant_id=tenant_id,
                route=route,
                method=method,
                minute_epoch=minute,
                total=row.total,
                by_status=dict(row.by_status),
                within_50ms=row.within_50ms,
                within_5s=row.within_5s,
                latency_buckets=dict(row.latency_buckets),
                events=row.events,
            )
            self._waiting.append(
                OutgoingRecord(
                    topic=REQUESTS,
                    key=tenant_id.encode(),
                    value=msgspec.json.encode(counts),
                    headers=event_headers(tenant_id, EventId(report_id)),
                )
            )
        if len(self._waiting) > _MAX_WAITING_REPORTS:
            log.error("request counts dropped", dropped=len(self._waiting) - _MAX_WAITING_REPORTS)
            del self._waiting[:-_MAX_WAITING_REPORTS]
        if not self._waiting:
            return
        try:
            await self._publisher.publish_all(self._waiting)
            self._waiting.clear()
        except RetryError as error:
            # Report ids make a partial success harmless: the reader drops what it has.
            log.warning("request counts wait for Kafka", waiting=len(self._waiting), error=str(error))
