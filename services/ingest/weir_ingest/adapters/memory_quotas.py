"""Token buckets of this process alone: for unit tests, and for when the shared ones do not answer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from weir_common.errors import RetryError
from weir_common.ids import TenantId

from weir_ingest.domain.quota import Draw, Quota

_DAY_SECONDS = 86_400


@dataclass(slots=True)
class _Bucket:
    events: float
    bytes: float
    filled_at: float
    day: int
    used: int = 0


class MemoryQuotas:
    """``fail`` makes every call fail as an outage does. ``clock`` gives unix seconds."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._buckets: dict[TenantId, _Bucket] = {}
        self.fail = False

    def go_on_from(self, tenant_id: TenantId, quota: Quota, left: Draw, seconds_ago: float) -> None:
        """The buckets stand as others stood so long ago, and have been filled since."""
        now = self._clock()
        then = now - seconds_ago
        used = 0 if quota.events_per_day is None or left.day_left is None else quota.events_per_day - left.day_left
        self._buckets[tenant_id] = _Bucket(left.events_left, left.bytes_left, then, int(then // _DAY_SECONDS), used)

    async def draw(self, tenant_id: TenantId, quota: Quota, events: int, bytes_: int) -> Draw:
        """See ``QuotaStore.draw``."""
        if self.fail:
            raise RetryError("the store is away")
        now = self._clock()
        day = int(now // _DAY_SECONDS)
        bucket = self._buckets.setdefault(tenant_id, _Bucket(quota.burst_events, quota.burst_bytes, now, day))
        passed = max(0.0, now - bucket.filled_at)
        bucket.events = min(quota.burst_events, bucket.events + passed * quota.events_per_second)
        bucket.bytes = min(quota.burst_bytes, bucket.bytes + passed * quota.bytes_per_second)
        bucket.filled_at = now
        if bucket.day != day:
            bucket.day, bucket.used = day, 0
        given_events, given_bytes = min(events, math.floor(bucket.events)), min(bytes_, math.floor(bucket.bytes))
        if quota.events_per_day is not None:
            given_events = min(given_events, max(0, quota.events_per_day - bucket.used))
        bucket.events = min(quota.burst_events, bucket.events - given_events)
        bucket.bytes = min(quota.burst_bytes, bucket.bytes - given_bytes)
        bucket.used += given_events
        return Draw(
            events=given_events,
            bytes=given_bytes,
            events_left=math.floor(bucket.events),
            bytes_left=math.floor(bucket.bytes),
            day_left=None if quota.events_per_day is None else max(0, quota.events_per_day - bucket.used),
            seconds_to_midnight=int(_DAY_SECONDS - now % _DAY_SECONDS),
        )
