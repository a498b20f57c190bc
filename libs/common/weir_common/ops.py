"""What services report of themselves on ``weir.ops.*``; tenant-admin turns it into service levels and scaling."""

from __future__ import annotations

import msgspec


class TenantProgress(msgspec.Struct, frozen=True):
    """What a consumer applied for one tenant since its last report."""

    applied: int
    duplicates: int = 0
    busy_seconds: float = 0.0


class ConsumerProgress(msgspec.Struct, frozen=True):
    """State of one consumer on one partition, each two seconds; key ``service/consumer/topic/partition``.

    ``position`` is the next offset to apply, ``end_offset`` the end of the log, ``position_timestamp_ms`` the time of the
    oldest record that is not applied yet (absent when nothing waits). ``busy_seconds`` is CPU time of the micro-batches.
    """

    service: str
    consumer: str
    instance: str
    topic: str
    partition: int
    position: int
    end_offset: int
    reported_at_ms: int
    position_timestamp_ms: int | None = None
    tenants: dict[str, TenantProgress] = {}
    busy_seconds: float = 0.0

    @property
    def backlog(self) -> int:
        """Records that wait."""
        return max(0, self.end_offset - self.position)


class RequestCounts(msgspec.Struct, frozen=True):
    """Requests of one tenant on one route in one minute, as counted by the service; rows of the same minute add up.

    ``latency_buckets`` is a log histogram: bucket = ceil(ln(seconds / 1e-4) / ln(1.2)), so a quantile is within 20 %.
    ``within_50ms`` and ``within_5s`` are counted exactly, since they are objectives. ``report_id`` makes a repeat visible.
    """

    report_id: str
    service: str
    instance: str
    tenant_id: str
    route: str
    method: str
    minute_epoch: int
    total: int
    by_status: dict[str, int]
    within_50ms: int
    within_5s: int
    latency_buckets: dict[int, int]
    events: int = 0
