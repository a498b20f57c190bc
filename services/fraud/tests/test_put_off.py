"""Work that was put off: at once while there is more, later when there is no room, again when it failed."""

from __future__ import annotations

import asyncio

import pytest
from weir_common.errors import RetryError, StopError
from weir_fraud.put_off import PutOff


class Work:
    """Answers one after the other; an error is raised. Stops the loop after the last."""

    def __init__(self, *answers: bool | Exception) -> None:
        self.answers = list(answers)
        self.stop = asyncio.Event()
        self.told: list[str] = []
        self.calls = 0

    async def apply(self) -> bool:
        self.calls += 1
        answer = self.answers.pop(0)
        if not self.answers:
            self.stop.set()
        if isinstance(answer, Exception):
            raise answer
        return answer


def loop_of(work: Work, **members: object) -> PutOff:
    return PutOff(work.apply, work.told.append, **({"look_seconds": 0.001, "deadline_seconds": 1.0} | members))  # type: ignore[arg-type]


async def test_it_goes_on_at_once_while_there_is_more() -> None:
    work = Work(True, True, True, False)
    async with asyncio.timeout(5):
        await loop_of(work, look_seconds=3_600).run(work.stop)
    assert work.calls == 4


async def test_what_failed_is_tried_again_and_told_why() -> None:
    work = Work(RetryError("away"), TimeoutError(), False)
    async with asyncio.timeout(5):
        await loop_of(work).run(work.stop)
    assert (work.calls, work.told) == (3, ["away", "no answer"])


async def test_one_that_hangs_is_cut_off() -> None:
    class Hangs(Work):
        async def apply(self) -> bool:
            more = await super().apply()
            if self.calls == 1:
                await asyncio.Event().wait()
            return more

    work = Hangs(True, False)
    async with asyncio.timeout(5):
        await loop_of(work, deadline_seconds=0.01).run(work.stop)
    assert (work.calls, work.told) == (2, ["no answer"])


async def test_without_room_nothing_is_done() -> None:
    work = Work(False)
    room = iter([False, False, True])
    async with asyncio.timeout(5):
        await loop_of(work, has_room=lambda: next(room)).run(work.stop)
    assert work.calls == 1


async def test_an_error_that_no_repetition_mends_ends_it() -> None:
    work = Work(StopError("broken"), False)
    with pytest.raises(StopError):
        await loop_of(work).run(work.stop)


async def test_it_ends_while_it_waits() -> None:
    work = Work(False)
    async with asyncio.timeout(5):
        await loop_of(work, look_seconds=3_600).run(work.stop)
