"""Grant a request as many of its events as the tenant's quota has room for, from the first on."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import structlog
from weir_common.credentials import TenantRecord
from weir_common.errors import RetryError
from weir_common.ids import TenantId
from weir_common.telemetry import meter

from weir_ingest.adapters.memory_quotas import MemoryQuotas
from weir_ingest.domain.quota import (
    BURST_SECONDS,
    BYTES_AN_EVENT,
    DRAW_SECONDS,
    Draw,
    Grant,
    Quota,
    fitting,
    pause_until,
    seconds_until,
)
from weir_ingest.ports import QuotaStore

log = structlog.get_logger(__name__)

DEFAULT_EVENTS_PER_SECOND = 100.0
"""Of a tenant whose record names no quota."""
_MAX_TENANTS = 10_000


@dataclass(slots=True)
class _Hand:
    """What this instance has drawn and not dealt, and what the store said last."""

    events: int = 0
    bytes: int = 0
    last: Draw | None = None
    drawn_at: float = 0.0
    alone: bool = False
    """The last draw was from this instance's own buckets."""
    paused_until: float = 0.0
    paused: Grant | None = None


class GrantQuota:
    """The use case. ``quota_of`` gives a tenant's quota now, so that a changed plan holds from the next request on.

    While the shared buckets do not answer, each instance deals from buckets of its own at the full rate: N instances then let
    through N times as much, which is counted and logged, rather than nothing or everything. They begin as the shared ones were
    last seen: full ones would give a tenant that outruns its quota, and is why they answer late, what it has saved up again.

    A tenant with nothing left is paused for a moment: `paused` says so without a question to anybody, so that its requests can
    be refused before they are read. ``clock`` gives seconds from anywhere.
    """

    def __init__(
        self, store: QuotaStore, quota_of: Callable[[TenantId], Quota], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._clock = clock
        self._own = MemoryQuotas()
        self._quota_of = quota_of
        self._hands: OrderedDict[TenantId, _Hand] = OrderedDict()
        self._failures = meter().create_counter(
            "weir.ingest.quota.failures", unit="{request}", description="Draws that the shared buckets did not answer"
        )

    async def __call__(self, tenant_id: TenantId, sizes: Sequence[int], *, atomic: bool = False) -> Grant:
        """``sizes``: bytes of each event, in order. ``atomic``: all or none."""
        quota = self._quota_of(tenant_id)
        hand = self._hand(tenant_id)
        total = sum(sizes)
        if hand.events < len(sizes) or hand.bytes < total or hand.last is None:
            await self._draw(tenant_id, quota, hand, len(sizes), total)
        granted = fitting(sizes, hand.events, hand.bytes)
        if atomic and granted < len(sizes):
            granted = 0
        taken = sum(sizes[:granted])
        hand.events -= granted
        hand.bytes -= taken
        grant = self._grant(quota, hand, len(sizes), total - taken, granted, min(sizes[granted:], default=0))
        if grant.pause_seconds:
            hand.paused_until, hand.paused = self._clock() + grant.pause_seconds, grant
        return grant

    def paused(self, tenant_id: TenantId) -> Grant | None:
        """What a tenant is told whose buckets were empty a moment ago; None: ask, there may be something."""
        hand = self._hands.get(tenant_id)
        if hand is None or hand.paused is None:
            return None
        rest = hand.paused_until - self._clock()
        if rest <= 0:
            hand.paused = None
            return None
        return replace(hand.paused, events=0, remaining=0, pause_seconds=rest)

    async def _draw(self, tenant_id: TenantId, quota: Quota, hand: _Hand, events: int, bytes_: int) -> None:
        want_events = max(events, math.ceil(quota.events_per_second * DRAW_SECONDS)) - hand.events
        want_bytes = max(bytes_, math.ceil(quota.bytes_per_second * DRAW_SECONDS)) - hand.bytes
        wish = (tenant_id, quota, max(0, want_events), max(0, want_bytes))
        try:
            drawn = await self._store.draw(*wish)
        except RetryError as error:
            self._failures.add(1, {"weir.tenant.id": tenant_id})
            log.warning("the shared quota does not answer, this instance deals from its own", error=str(error))
            if not hand.alone and hand.last is not None:
                self._own.go_on_from(tenant_id, quota, hand.last, self._clock() - hand.drawn_at)
            hand.alone = True
            drawn = await self._own.draw(*wish)
        else:
            hand.alone, hand.drawn_at = False, self._clock()
        hand.events += drawn.events
        hand.bytes += drawn.bytes
        hand.last = drawn

    def _hand(self, tenant_id: TenantId) -> _Hand:
        hand = self._hands.get(tenant_id)
        if hand is None:
            hand = self._hands[tenant_id] = _Hand()
            if len(self._hands) > _MAX_TENANTS:
                self._hands.popitem(last=False)
        self._hands.move_to_end(tenant_id)
        return hand

    @staticmethod
    def _grant(quota: Quota, hand: _Hand, events: int, refused_bytes: int, granted: int, smallest: int) -> Grant:
        last = hand.last
        assert last is not None
        remaining = hand.events + last.events_left
        wait, pause = 0, 0.0
        if granted < events:
            missing = (events - granted - hand.events, refused_bytes - hand.bytes - last.bytes_left)
            wait = seconds_until(*missing, quota)
            if last.day_left == 0 and hand.events == 0:
                wait = max(1, last.seconds_to_midnight)
            # What was just drawn did not suffice. If anything is left, another request may still fit into it.
            if hand.events == 0 and (last.events_left == 0 or last.day_left == 0):
                pause = pause_until(*missing, quota)
            elif hand.bytes + last.bytes_left < smallest:
                pause = pause_until(0, missing[1], quota)
        elif last.day_left is not None:
            remaining = min(remaining, hand.events + last.day_left)
        return Grant(granted, max(0, remaining), wait, quota.burst_events, math.ceil(BURST_SECONDS), pause)


def quotas_by_plan(tenant: Callable[[TenantId], TenantRecord | None]) -> Callable[[TenantId], Quota]:
    """A tenant's quota as its record has it now."""

    def quota_of(tenant_id: TenantId) -> Quota:
        record = tenant(tenant_id)
        events = (record.quota_events_per_second if record is not None else None) or DEFAULT_EVENTS_PER_SECOND
        bytes_ = (record.quota_bytes_per_second if record is not None else None) or events * BYTES_AN_EVENT
        return Quota(events, bytes_, record.quota_events_per_day if record is not None else None)

    return quota_of
