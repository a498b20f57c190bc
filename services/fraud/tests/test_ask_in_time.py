"""Histories that do not answer keep nobody waiting: for a deadline a few times, then not at all, and they are asked again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
from weir_fraud.adapters.memory_features import MemoryFeatures
from weir_fraud.ask_in_time import AskInTime
from weir_fraud.domain.aggregate import HOUR, Aggregate, Entity, Measure
from weir_fraud.domain.history import Snapshot
from weir_fraud.domain.payment import Payment
from weir_fraud.errors import FeatureStoreUnavailable

Make = Callable[..., Payment]


class Flaky(MemoryFeatures):
    """`state`: well, away (an error at once) or still (no answer)."""

    def __init__(self) -> None:
        super().__init__((Aggregate(Entity.USER, Measure.COUNT, HOUR),))
        self.state = "well"
        self.asked = 0

    async def observe(self, payments: Sequence[Payment]) -> list[Snapshot]:
        self.asked += 1
        if self.state == "still":
            await asyncio.Event().wait()
        if self.state == "away":
            raise FeatureStoreUnavailable("away")
        return await super().observe(payments)


class Stand:
    def __init__(self) -> None:
        self.features = Flaky()
        self.now = 100.0
        self.ask = AskInTime(
            self.features, seconds=0.01, failures=3, pause_seconds=2.0, monotonic=lambda: self.now, chance=lambda: 0.5
        )


@pytest.fixture
def stand() -> Stand:
    return Stand()


@pytest.mark.parametrize("state", ["away", "still"])
async def test_after_some_failures_they_are_left_alone_until_the_pause_is_over(
    stand: Stand, make_payment: Make, state: str
) -> None:
    payments = [make_payment()]
    assert await stand.ask(payments) == [(1,)]
    stand.features.state = state
    assert [await stand.ask(payments) for _ in range(10)] == [None] * 10
    assert stand.features.asked == 1 + 3
    assert stand.ask.paused
    stand.now += 1.9
    assert await stand.ask(payments) is None
    assert stand.features.asked == 4
    # One asks for all; it fails, and another pause begins.
    stand.now += 0.2
    assert [await stand.ask(payments) for _ in range(3)] == [None] * 3
    assert stand.features.asked == 5
    stand.features.state = "well"
    assert await stand.ask(payments) is None
    stand.now += 2.1
    assert await stand.ask(payments) == [(1,)]
    assert await stand.ask(payments) == [(1,)]
    assert not stand.ask.paused


async def test_one_failure_is_no_pause(stand: Stand, make_payment: Make) -> None:
    for _ in range(4):
        stand.features.state = "away"
        assert await stand.ask([make_payment()]) is None
        assert await stand.ask([make_payment()]) is None
        stand.features.state = "well"
        assert await stand.ask([make_payment()]) is not None


async def test_while_one_asks_for_all_the_others_do_not_wait(stand: Stand, make_payment: Make) -> None:
    stand.features.state = "still"
    await asyncio.gather(*(stand.ask([make_payment()]) for _ in range(3)))
    assert stand.features.asked == 3
    stand.now += 3
    asking = asyncio.create_task(stand.ask([make_payment()]))
    await asyncio.sleep(0)
    assert await stand.ask([make_payment()]) is None
    assert not asking.done()
    assert await asking is None
    assert stand.features.asked == 4


async def test_who_goes_away_frees_the_next_to_ask(stand: Stand, make_payment: Make) -> None:
    stand.features.state = "away"
    for _ in range(3):
        await stand.ask([make_payment()])
    stand.now += 3
    stand.features.state = "still"
    asking = asyncio.create_task(stand.ask([make_payment()]))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    stand.features.state = "well"
    assert await stand.ask([make_payment()]) is not None
