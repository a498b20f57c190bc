"""The stream waits for those who wait for an answer, and for a share of the time only."""

from __future__ import annotations

import asyncio
import time

import pytest
from weir_fraud.admission import Admission
from weir_fraud.give_way import MOST_SECONDS, SHARE, GiveWay
from weir_fraud.let_others import let_others, that_wait
from weir_fraud.settings import ScoringSettings


class Clock:
    """Of the loop's time, and of what a test adds to it."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


async def turns() -> None:
    """As many as a wake-up needs, and no time: what waits for its share of it is still waiting afterwards."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_does_not_wait_while_nobody_is_inside() -> None:
    step = asyncio.create_task(GiveWay(Admission(ScoringSettings())).step())
    await turns()
    assert step.done()


async def test_waits_until_the_last_call_is_answered() -> None:
    admission = Admission(ScoringSettings())
    give_way = GiveWay(admission)
    first, second = admission(None), admission(None)
    first.__enter__()
    second.__enter__()
    step = asyncio.create_task(give_way.step())
    await turns()
    first.__exit__(None, None, None)
    await turns()
    assert not step.done()
    second.__exit__(None, None, None)
    await turns()
    assert step.done()


async def test_goes_on_when_somebody_is_always_inside() -> None:
    """Else it would not come on under load: a share of the time, and no more than so much at once."""
    admission = Admission(ScoringSettings())
    clock = Clock()
    give_way = GiveWay(admission, clock)
    with admission(None):
        began = time.monotonic()
        for _ in range(20):
            await give_way.step()
        assert MOST_SECONDS * 0.9 <= time.monotonic() - began <= MOST_SECONDS * 2
        clock.ahead += 0.1
        began = time.monotonic()
        for _ in range(20):
            await give_way.step()
        assert SHARE * 0.1 * 0.5 <= time.monotonic() - began <= MOST_SECONDS * 0.8


async def test_what_it_did_not_wait_is_saved_up_to_a_bound() -> None:
    admission = Admission(ScoringSettings())
    clock = Clock()
    give_way = GiveWay(admission, clock)
    clock.ahead += 3_600
    with admission(None):
        began = time.monotonic()
        for _ in range(20):
            await give_way.step()
        assert time.monotonic() - began <= MOST_SECONDS * 2


async def test_a_cancelled_step_is_cancelled() -> None:
    admission = Admission(ScoringSettings())
    with admission(None):
        step = asyncio.create_task(GiveWay(admission).step())
        await turns()
        step.cancel()
        with pytest.raises(asyncio.CancelledError):
            await step


async def test_all_steps_of_what_nobody_waits_for_give_way() -> None:
    steps = 0

    async def step() -> None:
        nonlocal steps
        steps += 1

    await let_others()
    with that_wait(step):
        await let_others()
        await let_others()
    await let_others()
    assert steps == 2
