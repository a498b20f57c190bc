"""Buckets that go on from where others stood."""

from __future__ import annotations

from weir_common.ids import TenantId
from weir_ingest.adapters.memory_quotas import MemoryQuotas
from weir_ingest.domain.quota import Draw, Quota

SHOP = TenantId("shop")
NOON = 86_400 * 100 + 43_200.0


async def test_they_hold_what_was_left_and_what_came_in_since() -> None:
    quotas = MemoryQuotas(lambda: NOON)
    quota = Quota(events_per_second=10, bytes_per_second=1_000, events_per_day=100)
    left = Draw(events=0, bytes=0, events_left=3, bytes_left=500, day_left=40, seconds_to_midnight=43_200)
    quotas.go_on_from(SHOP, quota, left, 2.0)
    drawn = await quotas.draw(SHOP, quota, 10_000, 10_000)
    assert (drawn.events, drawn.bytes, drawn.day_left) == (23, 2_500, 17)


async def test_what_was_used_yesterday_does_not_count_today() -> None:
    quotas = MemoryQuotas(lambda: 86_400 * 100 + 1.0)
    quota = Quota(events_per_second=10, bytes_per_second=1_000, events_per_day=5)
    left = Draw(events=0, bytes=0, events_left=0, bytes_left=0, day_left=0, seconds_to_midnight=1)
    quotas.go_on_from(SHOP, quota, left, 2.0)
    assert (await quotas.draw(SHOP, quota, 3, 3)).events == 3
