"""Who is within its rate never waits for who is above it; who is above waits a quarter of a second at most."""

from __future__ import annotations

import asyncio
import time

import pytest
from weir_common.ids import TenantId
from weir_ingest.give_way import GiveWay, Way

LOUD, QUIET, THIRD = TenantId("loud"), TenantId("quiet"), TenantId("third")
RATE = 100.0


class Street:
    """``now`` is set by the test; sleeping takes its real time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.ways = GiveWay(lambda _: RATE, lambda: self.now)

    def above(self) -> Way:
        return self.ways.of(LOUD, 500)


async def _steps(way: Way, number: int, done: list[int]) -> None:
    with way.at_work():
        for step in range(number):
            await way.step()
            done.append(step)


async def _goes_on(way: Way) -> bool:
    """Whether a step of it ends while the others are at work."""
    task = asyncio.create_task(way.step())
    await asyncio.sleep(0.02)
    done = task.done()
    task.cancel()
    await asyncio.wait([task])
    return done


async def test_within_its_rate_nobody_waits() -> None:
    street = Street()
    way = street.ways.of(LOUD, 100)
    with street.ways.of(QUIET, 2).at_work():
        await way.pace()
        assert await _goes_on(way)
    assert not street.ways.is_above(LOUD)


async def test_above_it_a_step_waits_until_the_others_are_done() -> None:
    street = Street()
    done: list[int] = []
    quiet = street.ways.of(QUIET, 2).at_work()
    with quiet:
        loud = asyncio.create_task(_steps(street.above(), 3, done))
        await asyncio.sleep(0.02)
        assert done == []
    await asyncio.wait_for(loud, 0.1)
    assert done == [0, 1, 2]


async def test_nobody_waits_for_one_that_is_above_as_well_or_for_itself() -> None:
    street = Street()
    loud = street.above()
    with loud.at_work(), street.above().at_work(), street.ways.of(THIRD, 500).at_work():
        assert await _goes_on(loud)


async def test_it_waits_a_quarter_of_a_second_in_all() -> None:
    street = Street()
    done: list[int] = []
    with street.ways.of(QUIET, 2).at_work():
        began = time.monotonic()
        await _steps(street.above(), 5, done)
        assert 0.2 < time.monotonic() - began < 1
    assert done == [0, 1, 2, 3, 4]


async def test_in_company_its_batches_go_at_twice_its_rate() -> None:
    street = Street()
    street.above()
    street.ways.of(QUIET, 2)
    assert [street.ways.due_in(LOUD, 20, 1.0) for _ in range(3)] == pytest.approx([0.0, 0.1, 0.2])
    street.now = 0.3
    assert street.ways.due_in(LOUD, 20, 1.0) == pytest.approx(0)
    assert street.ways.due_in(LOUD, 20, 0.05) == pytest.approx(0.05), (
        "no longer than it has left, and the next one is due after it"
    )


async def test_alone_it_goes_as_fast_as_it_can() -> None:
    street = Street()
    street.ways.of(QUIET, 2)
    street.now = 11.0
    way = street.above()
    began = time.monotonic()
    await way.pace()
    assert time.monotonic() - began < 0.1
    assert [street.ways.due_in(LOUD, 500, 1.0) for _ in range(2)] == [0.0, 0.0]


async def test_it_is_within_its_rate_again_when_time_has_brought_that_much() -> None:
    street = Street()
    street.above()
    street.now = 3.9
    assert street.ways.is_above(LOUD)
    street.now = 4.1
    assert not street.ways.is_above(LOUD)


async def test_a_cancelled_batch_is_waited_for_by_nobody() -> None:
    street = Street()

    async def hold() -> None:
        with street.ways.of(QUIET, 2).at_work():
            await asyncio.sleep(10)

    quiet = asyncio.create_task(hold())
    await asyncio.sleep(0)
    done: list[int] = []
    loud = asyncio.create_task(_steps(street.above(), 1, done))
    await asyncio.sleep(0.02)
    quiet.cancel()
    await asyncio.wait_for(loud, 0.1)
    assert done == [0]


async def _turns_of_others(way: Way, steps: int) -> int:
    """How often another task of the loop had its turn while so many steps were made."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    for _ in range(steps):
        await way.step()
    task.cancel()
    return turns


async def test_alone_it_lets_the_loop_go_on_each_eighth_step_and_in_company_each() -> None:
    street = Street()
    alone = street.ways.of(LOUD, 2)
    assert await _turns_of_others(alone, 32) == 4
    street.ways.of(QUIET, 2)
    assert await _turns_of_others(alone, 32) == 32
    street.now += 60
    assert await _turns_of_others(alone, 32) == 4
