"""What a tenant may send: token buckets of events and bytes, and a number of events a day.

The buckets themselves are shared by all instances (``QuotaStore``). An instance draws a tenth of a second's worth at a time and
deals from it, so that most requests ask nobody; together N instances hold back or overshoot N tenths at most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

BURST_SECONDS = 10.0
"""What an idle tenant saves up."""
DRAW_SECONDS = 0.1
BYTES_AN_EVENT = 16 * 1_024
"""Without a plan of its own a tenant may send as many bytes as so large events are."""
SMALLEST_BURST_BYTES = 2 * 1_048_576
"""Above the largest event: what is saved up must at least suffice for one."""
SHORTEST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 0.5
"""How long a tenant whose buckets are empty is refused unread. Short beside what the buckets hold, so that nothing that comes in
meanwhile is lost to it, and so that another plan or another day holds at once."""


@dataclass(frozen=True, slots=True)
class Quota:
    """A tenant's limits; None: no limit of this kind."""

    events_per_second: float
    bytes_per_second: float
    events_per_day: int | None = None

    @property
    def burst_events(self) -> int:
        """The size of the bucket of events."""
        return max(1, math.ceil(self.events_per_second * BURST_SECONDS))

    @property
    def burst_bytes(self) -> int:
        """The size of the bucket of bytes."""
        return max(SMALLEST_BURST_BYTES, math.ceil(self.bytes_per_second * BURST_SECONDS))


@dataclass(frozen=True, slots=True)
class Draw:
    """What the shared buckets gave, and what is in them now (``day_left`` None without a daily limit)."""

    events: int
    bytes: int
    events_left: int
    bytes_left: int
    day_left: int | None
    seconds_to_midnight: int


@dataclass(frozen=True, slots=True)
class Grant:
    """How many of a request's events, from the first on, may be taken; and what to tell the sender."""

    events: int
    remaining: int
    retry_after_seconds: int
    limit: int
    window_seconds: int
    pause_seconds: float = 0.0
    """Not 0: nothing is left, and what comes before that is refused unread."""

    @property
    def headers(self) -> dict[str, str]:
        """As draft-ietf-httpapi-ratelimit-headers-10 has them."""
        return {
            "ratelimit-policy": f'"events";q={self.limit};w={self.window_seconds}',
            "ratelimit": f'"events";r={self.remaining};t={self.retry_after_seconds}',
        }


def fitting(sizes: Sequence[int], events: int, bytes_: int) -> int:
    """How many of the events, from the first on, fit into so many events and bytes."""
    total = 0
    for number, size in enumerate(sizes[:events]):
        total += size
        if total > bytes_:
            return number
    return min(len(sizes), events)


def seconds_until(missing_events: float, missing_bytes: float, quota: Quota) -> int:
    """Whole seconds, at least 1, until the buckets hold so much more."""
    return max(1, math.ceil(_wait(missing_events, missing_bytes, quota)))


def pause_until(missing_events: float, missing_bytes: float, quota: Quota) -> float:
    """Seconds until the buckets hold so much more, within the bounds of a pause."""
    return min(LONGEST_PAUSE_SECONDS, max(SHORTEST_PAUSE_SECONDS, _wait(missing_events, missing_bytes, quota)))


def _wait(missing_events: float, missing_bytes: float, quota: Quota) -> float:
    return max(missing_events / quota.events_per_second, missing_bytes / quota.bytes_per_second)
