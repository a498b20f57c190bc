"""The next thing is made while this one is worked on; errors and ends of either side end both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from weir_fraud.read_ahead import read_ahead


class Source:
    """Counts; `ended` says how the making ended. It breaks at `broken`, and stands still at `still`."""

    def __init__(self, most: int = 5, *, broken: int | None = None, still: int | None = None) -> None:
        self._most = most
        self._broken = broken
        self._still = still
        self.made = 0
        self.ended = ""

    async def things(self) -> AsyncIterator[int]:
        try:
            for number in range(self._most):
                await asyncio.sleep(0)
                if number == self._broken:
                    raise OSError("broken")
                if number == self._still:
                    await asyncio.Event().wait()
                self.made += 1
                yield number
            self.ended = "whole"
        except asyncio.CancelledError:
            self.ended = "cancelled"
            raise
        except GeneratorExit:
            self.ended = "closed"
            raise


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_all_come_in_order() -> None:
    source = Source()
    assert [number async for number in read_ahead(source.things())] == [0, 1, 2, 3, 4]
    assert source.ended == "whole"
    assert [number async for number in read_ahead(Source(0).things())] == []


async def test_one_is_made_while_one_is_worked_on_and_no_more() -> None:
    source = Source()
    async with aclosing(read_ahead(source.things())) as things:
        for worked_on in range(1, 5):
            await anext(things)
            await turns()
            assert source.made == worked_on + 1
    assert source.ended == "closed"


async def test_an_error_comes_when_its_thing_is_asked_for() -> None:
    things = read_ahead(Source(broken=2).things())
    assert [await anext(things), await anext(things)] == [0, 1]
    await turns()
    with pytest.raises(OSError, match="broken"):
        await anext(things)


async def test_an_error_of_the_work_ends_the_making() -> None:
    source = Source(still=2)

    async def work() -> None:
        async with aclosing(read_ahead(source.things())) as things:
            async for number in things:
                await turns()
                if number == 1:
                    raise ValueError("the work")

    with pytest.raises(ValueError, match="the work"):
        await work()
    assert source.ended == "cancelled"


async def test_an_error_that_nobody_asks_for_any_more_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    async with aclosing(read_ahead(Source(broken=1).things())) as things:
        await anext(things)
        await turns()
    assert not caplog.records


async def test_who_is_cancelled_ends_the_making() -> None:
    source = Source(still=1)

    async def work() -> None:
        async with aclosing(read_ahead(source.things())) as things:
            async for _ in things:
                pass

    working = asyncio.create_task(work())
    await turns()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert source.ended == "cancelled"
