from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from contextvars import ContextVar

import pytest
from weir_common.errors import RetryError
from weir_fraud.together import Together

_caller: ContextVar[str] = ContextVar("caller", default="")


class Work:
    """Doubles numbers when it is let to; knows what it was given, and by whose context."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.groups: list[tuple[str, list[int]]] = []
        self.contexts: list[str] = []
        self.cancelled: list[list[int]] = []
        self.most_at_once = self.at_work = 0
        self.fault: Exception | None = None
        self.poison: int | None = None

    async def __call__(self, key: str, items: Sequence[int]) -> list[int]:
        self.groups.append((key, list(items)))
        self.contexts.append(_caller.get())
        self.at_work += 1
        self.most_at_once = max(self.most_at_once, self.at_work)
        try:
            await self.gate.wait()
            if self.fault is not None:
                raise self.fault
            if self.poison in items:
                raise ValueError(f"{self.poison} is poison")
            return [2 * item for item in items]
        except asyncio.CancelledError:
            self.cancelled.append(list(items))
            raise
        finally:
            self.at_work -= 1


@pytest.fixture
def work() -> Work:
    return Work()


async def _all_wait(calls: Sequence[asyncio.Task[int]]) -> None:
    for _ in range(3):
        await asyncio.sleep(0)
    assert not any(call.done() for call in calls)


def _calls(together: Together[str, int, int], *items: int, key: str = "a") -> list[asyncio.Task[int]]:
    return [asyncio.create_task(together(key, item)) for item in items]


async def test_where_there_is_room_each_goes_alone_and_at_once(work: Work) -> None:
    together = Together(work, at_once=3, most=10)
    calls = _calls(together, 1, 2, 3)
    await _all_wait(calls)
    assert together.waiting == 0
    assert work.groups == [("a", [1]), ("a", [2]), ("a", [3])]
    work.gate.set()
    assert await asyncio.gather(*calls) == [2, 4, 6]


async def test_what_waits_is_done_together_by_key_the_longest_first(work: Work) -> None:
    together = Together(work, at_once=1, most=3)
    calls = _calls(together, 1, 2, 3) + _calls(together, 4, 5, key="b") + _calls(together, 6, 7)
    await _all_wait(calls)
    assert together.waiting == 6
    work.gate.set()
    assert await asyncio.gather(*calls) == [2, 4, 6, 8, 10, 12, 14]
    assert work.groups == [("a", [1]), ("a", [2, 3, 6]), ("b", [4, 5]), ("a", [7])]
    assert work.most_at_once == 1
    assert together.waiting == 0


async def test_a_group_works_in_the_context_of_who_has_waited_longest(work: Work) -> None:
    together = Together(work, at_once=1, most=3)

    async def call(item: int) -> int:
        _caller.set(f"caller {item}")
        return await together("a", item)

    calls = [asyncio.create_task(call(item)) for item in (1, 2, 3)]
    await _all_wait(calls)
    work.gate.set()
    await asyncio.gather(*calls)
    assert work.contexts == ["caller 1", "caller 2"]


async def test_who_gives_up_while_waiting_is_not_worked_for(work: Work) -> None:
    together = Together(work, at_once=1, most=3)
    calls = _calls(together, 1, 2, 3)
    await _all_wait(calls)
    calls[1].cancel()
    await asyncio.wait([calls[1]])
    assert together.waiting == 1
    work.gate.set()
    assert await asyncio.gather(calls[0], calls[2]) == [2, 6]
    assert work.groups == [("a", [1]), ("a", [3])]


async def test_a_group_is_cancelled_when_the_last_of_its_callers_has_given_up_and_not_before(work: Work) -> None:
    together = Together(work, at_once=1, most=3)
    first, second, third, fourth = calls = _calls(together, 1, 2, 3, 4)
    await _all_wait(calls)
    first.cancel()
    await asyncio.wait([first])
    await _all_wait(calls[1:])
    assert work.groups == [("a", [1]), ("a", [2, 3, 4])]
    second.cancel()
    third.cancel()
    await asyncio.wait([second, third])
    await asyncio.sleep(0)
    assert work.cancelled == [[1]]
    fourth.cancel()
    await asyncio.wait([fourth])
    await asyncio.sleep(0)
    assert work.cancelled == [[1], [2, 3, 4]]
    # The turn is free again.
    work.gate.set()
    assert await together("a", 9) == 18


async def test_a_fault_of_one_is_not_the_others(work: Work) -> None:
    together = Together(work, at_once=1, most=5)
    calls = _calls(together, 1, 2, 3, 4)
    await _all_wait(calls)
    work.poison = 3
    work.gate.set()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [answer for answer in answers if not isinstance(answer, Exception)] == [2, 4, 8]
    assert str(answers[2]) == "3 is poison"
    assert work.groups == [("a", [1]), ("a", [2, 3, 4]), ("a", [2]), ("a", [3]), ("a", [4])]
    assert await together("a", 5) == 10


async def test_an_outage_is_told_to_all_and_asked_for_once(work: Work) -> None:
    together = Together(work, at_once=1, most=5)
    calls = _calls(together, 1, 2, 3)
    await _all_wait(calls)
    work.fault = RetryError("away")
    work.gate.set()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert answers == [work.fault] * 3
    assert work.groups == [("a", [1]), ("a", [2, 3])]


async def test_a_group_that_is_given_up_before_it_begins_keeps_no_turn(work: Work) -> None:
    together = Together(work, at_once=1, most=5)
    calls = _calls(together, 1, 2, 3)
    await _all_wait(calls)
    # The first ends, its turn goes to the others' group, and in the same moment they give up.
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    await asyncio.sleep(0)
    work.gate.set()
    async with asyncio.timeout(1):
        assert await asyncio.gather(*_calls(together, 4, 5, 6)) == [8, 10, 12]
    assert together.waiting == 0


async def test_turns_outlive_callers_that_give_up_at_any_moment() -> None:
    chance = random.Random(7)

    async def work(_: str, items: Sequence[int]) -> Sequence[int]:
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
        if chance.random() < 0.1:
            raise ValueError("now and then")
        return [2 * item for item in items]

    together = Together(work, at_once=2, most=4)

    async def call(item: int) -> None:
        for _ in range(chance.randrange(6)):
            await asyncio.sleep(0)
        with suppress(ValueError):
            assert await together(chance.choice("ab"), item) == 2 * item

    for _ in range(300):
        calls = [asyncio.create_task(call(item)) for item in range(20)]
        for one in chance.sample(calls, 12):
            for _ in range(chance.randrange(2)):
                await asyncio.sleep(0)
            one.cancel()
        await asyncio.wait(calls)
        for one in calls:
            if not one.cancelled():
                one.result()
    for _ in range(10):
        await asyncio.sleep(0)
    assert together.waiting == 0
    assert together.at_work == 0
