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
from weir_fraud.settings import ScoringSettings

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


class Slow(MemoryFeatures):
    """Takes so long for each payment."""

    def __init__(self, seconds_a_payment: float) -> None:
        super().__init__(())
        self._seconds = seconds_a_payment

    async def observe(self, payments: Sequence[Payment]) -> list[Snapshot]:
        await asyncio.sleep(self._seconds * len(payments))
        return await super().observe(payments)


@pytest.mark.parametrize(
    ("payments", "seconds"), [(0, 0.25), (1, 0.25), (2, 0.2525), (41, 0.35), (100, 0.4975), (101, 0.5), (10_000, 0.5)]
)
def test_each_further_payment_has_so_much_more_up_to_half_of_the_call(payments: int, seconds: float) -> None:
    scoring = ScoringSettings()
    ask = AskInTime(
        Flaky(),
        seconds=scoring.features_deadline_seconds,
        seconds_a_payment=scoring.features_deadline_seconds_a_payment,
        most_seconds=scoring.most_seconds_for_features,
        failures=3,
        pause_seconds=1,
    )
    assert ask.seconds_for(payments) == pytest.approx(seconds)


def test_one_payment_has_no_more_than_half_of_a_short_deadline() -> None:
    scoring = ScoringSettings(deadline_seconds=0.2)
    assert AskInTime(
        Flaky(), seconds=0.25, most_seconds=scoring.most_seconds_for_features, failures=3, pause_seconds=1
    ).seconds_for(1) == pytest.approx(0.1)


async def test_a_batch_that_takes_longer_than_one_payment_may_is_in_time(make_payment: Make) -> None:
    batch = [make_payment(after=number) for number in range(50)]
    ask = AskInTime(Slow(0.001), seconds=0.02, seconds_a_payment=0.1, most_seconds=30, failures=1, pause_seconds=60)
    assert await ask(batch) == [()] * 50
    # The bound for all stays: what is too slow for that is late, and is not asked again.
    ask = AskInTime(Slow(0.01), seconds=0.02, seconds_a_payment=0.1, most_seconds=0.05, failures=1, pause_seconds=60)
    assert await ask(batch) is None
    assert ask.paused


async def test_a_call_that_ends_sooner_is_not_held_and_is_no_failure_of_the_histories(make_payment: Make) -> None:
    ask = AskInTime(Slow(60), seconds=30, seconds_a_payment=30, most_seconds=60, failures=1, pause_seconds=60)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await ask([make_payment(), make_payment(after=1)])
    assert not ask.paused
