"""A hand that deals from shared buckets: never more than they hold, and rarely asking."""

from __future__ import annotations

import pytest
from weir_common.credentials import TenantRecord
from weir_common.ids import TenantId
from weir_ingest.adapters.memory_quotas import MemoryQuotas
from weir_ingest.domain.quota import Draw, Quota
from weir_ingest.grant_quota import DEFAULT_EVENTS_PER_SECOND, GrantQuota, quotas_by_plan

SHOP = TenantId("shop")


class Counted(MemoryQuotas):
    """Counts the draws; ``now`` is set by the test."""

    def __init__(self) -> None:
        super().__init__(lambda: self.now)
        self.now = 0.0
        self.draws = 0

    async def draw(self, tenant_id: TenantId, quota: Quota, events: int, bytes_: int) -> Draw:
        self.draws += 1
        return await super().draw(tenant_id, quota, events, bytes_)


@pytest.fixture
def store() -> Counted:
    return Counted()


async def test_two_instances_together_grant_no_more_than_the_buckets_hold(store: Counted) -> None:
    quota = Quota(events_per_second=100, bytes_per_second=1e9)
    one, two = (GrantQuota(store, lambda _: quota) for _ in range(2))
    granted = 0
    for _ in range(300):
        for instance in (one, two):
            granted += (await instance(SHOP, [10] * 3)).events
    assert granted == quota.burst_events
    store.now += 1.0
    for _ in range(300):
        for instance in (one, two):
            granted += (await instance(SHOP, [10] * 3)).events
    assert granted == quota.burst_events + 100


async def test_most_requests_ask_nobody(store: Counted) -> None:
    grant = GrantQuota(store, lambda _: Quota(events_per_second=1_000, bytes_per_second=1e9))
    for _ in range(1_000):
        assert (await grant(SHOP, [10])).events == 1
    assert store.draws == 10


async def test_bytes_bound_the_events(store: Counted) -> None:
    quota = Quota(events_per_second=1_000, bytes_per_second=1)
    grant = GrantQuota(store, lambda _: quota)
    size = quota.burst_bytes // 4
    assert (await grant(SHOP, [size] * 5)).events == 4
    refused = await grant(SHOP, [size])
    assert (refused.events, refused.retry_after_seconds) == (0, size)


async def test_a_used_up_day_is_told_until_midnight(store: Counted) -> None:
    store.now = 86_400 * 100 + 3_600
    grant = GrantQuota(store, lambda _: Quota(events_per_second=1_000, bytes_per_second=1e9, events_per_day=5))
    assert (await grant(SHOP, [1] * 5)).remaining == 0
    assert (await grant(SHOP, [1])).retry_after_seconds == 82_800
    store.now += 82_800
    assert (await grant(SHOP, [1])).events == 1


async def test_without_the_shared_buckets_each_instance_keeps_the_rate(store: Counted) -> None:
    store.fail = True
    quota = Quota(events_per_second=1, bytes_per_second=1e9)
    grant = GrantQuota(store, lambda _: quota)
    assert sum([(await grant(SHOP, [1])).events for _ in range(50)]) in (10, 11)


async def test_its_own_buckets_begin_as_the_shared_ones_were_last_seen(store: Counted) -> None:
    quota = Quota(events_per_second=10, bytes_per_second=1e9)
    grant = GrantQuota(store, lambda _: quota, lambda: store.now)
    assert (await grant(SHOP, [1] * quota.burst_events)).events == quota.burst_events
    store.fail = True
    # Full buckets would be the burst once more, to who has just used it up.
    assert (await grant(SHOP, [1] * quota.burst_events)).events == 0


async def test_who_has_nothing_left_is_paused_until_what_it_lacked_has_come_in(store: Counted) -> None:
    quota = Quota(events_per_second=100, bytes_per_second=1e9)
    grant = GrantQuota(store, lambda _: quota, lambda: store.now)
    assert grant.paused(SHOP) is None
    assert (await grant(SHOP, [1] * 1_000)).pause_seconds == 0, (
        "all of it was granted; what came in since nobody has asked"
    )
    assert grant.paused(SHOP) is None
    refused = await grant(SHOP, [1] * 20)
    assert (refused.events, refused.pause_seconds) == (0, 0.2)
    store.now += 0.15
    draws = store.draws
    paused = grant.paused(SHOP)
    assert paused is not None
    assert (paused.events, paused.headers) == (0, refused.headers)
    assert paused.pause_seconds == pytest.approx(0.05)
    assert grant.paused(TenantId("other")) is None
    store.now += 0.06
    assert grant.paused(SHOP) is None
    assert store.draws == draws, "nobody was asked"
    some = await grant(SHOP, [1] * 30)
    assert (some.events, some.pause_seconds) == (21, 0.1), "a part was granted, nothing is left"


@pytest.mark.parametrize(("rate", "pause"), [(0.1, 0.5), (1_000, 0.1)])
async def test_a_pause_is_short_whatever_is_missing(store: Counted, rate: float, pause: float) -> None:
    grant = GrantQuota(store, lambda _: Quota(rate, bytes_per_second=1e9), lambda: store.now)
    assert (await grant(SHOP, [1] * 10_001)).pause_seconds == pause


async def test_who_has_something_left_is_not_paused(store: Counted) -> None:
    grant = GrantQuota(store, lambda _: Quota(events_per_second=1, bytes_per_second=1e9), lambda: store.now)
    assert (await grant(SHOP, [1] * 11, atomic=True)).events == 0
    assert grant.paused(SHOP) is None
    assert (await grant(SHOP, [1] * 10)).events == 10


async def test_bytes_pause_once_not_even_the_smallest_fits(store: Counted) -> None:
    quota = Quota(events_per_second=1_000, bytes_per_second=1)
    grant = GrantQuota(store, lambda _: quota, lambda: store.now)
    half = quota.burst_bytes // 2
    assert (await grant(SHOP, [half, half, 1_000])).events == 2
    assert grant.paused(SHOP) is not None
    store.now += 500
    assert (await grant(SHOP, [half, 400])).pause_seconds == 0, "the small one would have fit"
    assert (await grant(SHOP, [half, 600])).pause_seconds == 0.5


async def test_a_used_up_day_pauses_and_ends_with_the_day(store: Counted) -> None:
    grant = GrantQuota(store, lambda _: Quota(1_000, 1e9, events_per_day=5), lambda: store.now)
    assert (await grant(SHOP, [1] * 6)).pause_seconds > 0
    store.now += 86_400
    assert grant.paused(SHOP) is None
    assert (await grant(SHOP, [1])).events == 1


def test_the_quota_is_what_the_record_says_now() -> None:
    records = {SHOP: TenantRecord(SHOP, "Shop", quota_events_per_second=5.0, quota_events_per_day=9)}
    quota_of = quotas_by_plan(records.get)
    assert quota_of(SHOP) == Quota(5.0, 5.0 * 16_384, 9)
    assert quota_of(TenantId("unknown")).events_per_second == DEFAULT_EVENTS_PER_SECOND
