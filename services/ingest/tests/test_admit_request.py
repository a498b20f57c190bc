"""What is refused before it is read, what the gateway is told of it, and what it tells."""

from __future__ import annotations

import asyncio

import pytest
from weir_common.ids import TenantId
from weir_common.problems import TooManyRequests
from weir_ingest.adapters.memory_quotas import MemoryQuotas
from weir_ingest.admit_request import PAUSE_HEADER, REFUSED_HEADER, AdmitRequest
from weir_ingest.domain.quota import Quota
from weir_ingest.grant_quota import GrantQuota
from weir_ingest.settings import BatchLimits
from weir_ingest.tenant_turns import TenantTurns, TooManyWait

SHOP, OTHER = TenantId("shop"), TenantId("other")


class Meter:
    def __init__(self) -> None:
        self.counts: list[tuple[str, str, str, int, int]] = []

    def count_elsewhere(self, tenant_id: str, route: str, method: str, status: int, number: int) -> None:
        self.counts.append((tenant_id, route, method, status, number))


class Edge:
    def __init__(self, **limits: int) -> None:
        self.meter = Meter()
        self.quota = GrantQuota(MemoryQuotas(lambda: 0.0), lambda _: Quota(10, 1e9), lambda: 0.0)
        turns = TenantTurns(BatchLimits(**limits))  # type: ignore[arg-type]
        self.admit = AdmitRequest(self.quota, turns, self.meter, method="POST", path="/events")  # type: ignore[arg-type]

    async def come(self, tenant_id: TenantId = SHOP, **headers: str) -> None:
        async with self.admit(tenant_id, {name.replace("_", "-"): value for name, value in headers.items()}):
            pass


async def test_a_paused_tenant_is_refused_with_what_it_needs_to_know_and_no_other_is() -> None:
    edge = Edge()
    await edge.come()
    grant = await edge.quota(SHOP, [1] * 103)
    with pytest.raises(TooManyRequests) as caught:
        await edge.come()
    assert caught.value.status == 429
    assert caught.value.headers == {"Retry-After": "1", **grant.headers, PAUSE_HEADER: "300 shop"}
    await edge.come(OTHER)


async def test_one_that_waited_is_asked_about_again_when_its_turn_comes() -> None:
    edge = Edge(max_batches_at_once=2)
    entered = 0

    async def work(end: asyncio.Event) -> None:
        nonlocal entered
        async with edge.admit(SHOP, {}):
            entered += 1
            await end.wait()

    end = asyncio.Event()
    tasks = [asyncio.create_task(work(end)) for _ in range(4)]
    await asyncio.sleep(0.01)
    await edge.quota(SHOP, [1] * 103)
    end.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in outcomes] == [type(None), type(None), TooManyRequests, TooManyRequests]
    assert entered == 2


async def test_the_gateway_is_told_of_a_line_that_is_too_long() -> None:
    edge = Edge(max_batches_at_once=2, max_waiting_of_a_tenant=1)
    async with edge.admit(SHOP, {}), edge.admit(SHOP, {}):
        waiting = asyncio.create_task(edge.come())
        await asyncio.sleep(0.01)
        with pytest.raises(TooManyWait) as caught:
            await edge.come()
        assert caught.value.headers == {"Retry-After": "1", PAUSE_HEADER: "500 shop"}
    await waiting


async def test_what_the_gateway_refused_is_counted_for_the_tenant() -> None:
    edge = Edge()
    await edge.come(**{REFUSED_HEADER: "12 3"})
    assert edge.meter.counts == [(SHOP, "/events", "POST", 429, 12), (SHOP, "/events", "POST", 503, 3)]


@pytest.mark.parametrize("told", ["", "x", "0 0", "-4 1e3", "٣ ٣", "9" * 40])
async def test_a_count_that_is_none_counts_nothing(told: str) -> None:
    edge = Edge()
    await edge.come(**{REFUSED_HEADER: told})
    assert edge.meter.counts == []
