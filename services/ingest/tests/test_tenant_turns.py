"""A tenant's requests wait for its own, in order, and for nobody else's."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from weir_common.ids import TenantId
from weir_ingest.settings import BatchLimits
from weir_ingest.tenant_turns import TenantTurns, TooManyWait, declared_bytes

LOUD, QUIET = TenantId("loud"), TenantId("quiet")
LARGE, SMALL = 140_000, 14_000


class Street:
    """Requests that stay at work until told to end; ``now`` is set by the test."""

    def __init__(self, **limits: float) -> None:
        self.now = 0.0
        self.turns = TenantTurns(BatchLimits(**{"turn_timeout_seconds": 5, **limits}), lambda: self.now)  # type: ignore[arg-type]
        self.at_work: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, name: str, tenant_id: TenantId, bytes_: int) -> None:
        self._ends[name] = asyncio.Event()
        self._tasks[name] = asyncio.create_task(self._work(name, tenant_id, bytes_))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def go(self, name: str) -> None:
        self._ends[name].set()
        await self._tasks[name]
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def give_up(self, name: str) -> None:
        self._tasks[name].cancel()
        await asyncio.wait([self._tasks[name]])

    async def outcome(self, name: str) -> None:
        await self._tasks[name]

    async def _work(self, name: str, tenant_id: TenantId, bytes_: int) -> None:
        async with self.turns.turn(tenant_id, bytes_):
            self.at_work.append(name)
            await self._ends[name].wait()
            self.at_work.remove(name)


async def test_alone_a_tenant_has_all_the_room() -> None:
    street = Street(max_batches_at_once=4)
    for number in range(6):
        await street.come(str(number), LOUD, LARGE)
    assert street.at_work == ["0", "1", "2", "3"]
    await street.go("1")
    assert street.at_work == ["0", "2", "3", "4"]


async def test_in_company_it_has_two_large_ones_and_the_other_waits_for_none_of_them() -> None:
    street = Street()
    await street.come("q1", QUIET, SMALL)
    for number in range(5):
        await street.come(f"l{number}", LOUD, LARGE)
    await street.come("q2", QUIET, SMALL)
    assert street.at_work == ["q1", "l0", "l1", "q2"]
    await street.go("l1")
    assert street.at_work == ["q1", "l0", "q2", "l2"], "the next of its own, in order"


async def test_small_ones_are_not_held_up_by_company() -> None:
    street = Street()
    await street.come("l", LOUD, LARGE)
    for number in range(10):
        await street.come(f"q{number}", QUIET, SMALL)
    assert len(street.at_work) == 11


async def test_company_is_who_sent_within_a_second() -> None:
    street = Street()
    await street.come("q", QUIET, SMALL)
    await street.go("q")
    street.now = 1.5
    for number in range(4):
        await street.come(str(number), LOUD, LARGE)
    assert len(street.at_work) == 4


async def test_a_turn_that_does_not_come_is_told_and_leaves_the_line() -> None:
    street = Street(max_batches_at_once=2, turn_timeout_seconds=0.05)
    for name in ("a", "b", "late"):
        await street.come(name, LOUD, LARGE)
    with pytest.raises(TooManyWait) as caught:
        await street.outcome("late")
    assert (caught.value.status, caught.value.slug) == (503, "overloaded")
    await street.go("a")
    await street.come("next", LOUD, LARGE)
    assert street.at_work == ["b", "next"]


async def test_who_would_wait_in_vain_is_told_at_once() -> None:
    street = Street(max_batches_at_once=2, turn_timeout_seconds=2)
    for number in range(6):
        await street.come(str(number), LOUD, LARGE)
    await street.go("0")
    street.now += 0.9
    await street.go("1")  # one in 0.9 s, and two wait: 1.8 s
    await street.come("6", LOUD, LARGE)
    await street.come("7", LOUD, LARGE)  # three wait: 2.7 s
    with pytest.raises(TooManyWait):
        await street.outcome("7")
    await street.come("other", QUIET, LARGE)
    assert street.at_work == ["2", "3", "other"]


async def test_a_loop_that_stood_still_turns_nobody_away() -> None:
    street = Street(max_batches_at_once=2, turn_timeout_seconds=2)
    for number in range(6):
        await street.come(str(number), LOUD, LARGE)
    street.now += 0.1
    await street.go("0")
    street.now += 1.0
    await street.come("6", LOUD, LARGE)
    for name in ("1", "2", "3", "4", "5"):
        await street.go(name)
    assert street.at_work == ["6"]


async def test_a_stall_is_no_pace_but_several_are() -> None:
    street = Street(max_batches_at_once=2, turn_timeout_seconds=3)
    for number in range(60):
        await street.come(str(number), LOUD, LARGE)
    for number in range(100):
        street.now += 0.02
        await street.go(str(number))
        await street.come(str(number + 60), LOUD, LARGE)
    street.now += 1.0
    await street.go("100")
    await street.come("after a stall", LOUD, LARGE)  # 58 wait, some 0.045 s each
    for number in (101, 102, 103):
        street.now += 1.0
        await street.go(str(number))
    await street.come("after four", LOUD, LARGE)  # 55 wait, 0.1 s each
    with pytest.raises(TooManyWait):
        await street.outcome("after four")
    await street.come("alone", QUIET, LARGE)
    for number in range(104, 160):
        await street.go(str(number))
    assert street.at_work == ["alone", "after a stall"]


async def test_who_comes_while_nothing_ends_is_told_at_once_as_well() -> None:
    street = Street(max_batches_at_once=2, turn_timeout_seconds=2)
    for number in range(4):
        await street.come(str(number), LOUD, LARGE)
    street.now += 1.5  # two are at work for so long, and two wait: their turn of 1.5 s comes first
    await street.come("4", LOUD, LARGE)
    await street.come("late", LOUD, LARGE)  # three wait: 2.25 s
    with pytest.raises(TooManyWait):
        await street.outcome("late")
    for name in ("0", "1", "2", "3"):
        await street.go(name)
    assert street.at_work == ["4"]


async def test_no_more_wait_than_may() -> None:
    street = Street(max_batches_at_once=2, max_waiting_of_a_tenant=1)
    for name in ("a", "b", "c", "d"):
        await street.come(name, LOUD, LARGE)
    with pytest.raises(TooManyWait):
        await street.outcome("d")


async def test_one_that_gives_up_takes_nobodys_turn() -> None:
    street = Street(max_batches_at_once=2)
    for name in ("a", "b", "c", "d"):
        await street.come(name, LOUD, LARGE)
    await street.give_up("c")
    await street.give_up("a")
    await asyncio.sleep(0)
    assert street.at_work[-1] == "d"
    await street.go("b")
    await street.go("d")
    assert not street.turns._lines, "nothing is kept of who has left"


async def test_a_turn_that_comes_in_the_instant_of_giving_up_goes_on_to_the_next() -> None:
    turns = TenantTurns(BatchLimits(max_batches_at_once=2))
    async with AsyncExitStack() as held:
        first = turns.turn(LOUD, 1)
        await first.__aenter__()
        await held.enter_async_context(turns.turn(LOUD, 1))

        async def wait() -> None:
            async with turns.turn(LOUD, 1):
                pass

        waiting = [asyncio.create_task(wait()) for _ in range(2)]
        await asyncio.sleep(0.01)
        await first.__aexit__(None, None, None)  # gives the turn to the first of them
        waiting[0].cancel()
        await asyncio.wait_for(waiting[1], 1)


@pytest.mark.parametrize(
    ("length", "encoding", "bytes_"),
    [("100", "", 100), ("100", "identity", 100), ("100", "gzip", 1_000), ("", "", 0), ("-1", "", 0), ("1e3", "", 0)],
)
def test_a_body_says_how_large_it_is(length: str, encoding: str, bytes_: int) -> None:
    assert declared_bytes(length, encoding) == bytes_
