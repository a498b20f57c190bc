from __future__ import annotations

from contextlib import ExitStack

import pytest
from weir_common.problems import Unavailable
from weir_fraud.admission import Admission
from weir_fraud.settings import ScoringSettings


class Door:
    """An admission whose clock stands still until it is moved."""

    def __init__(self, **limits: float) -> None:
        self.now = 0.0
        self.admission = Admission(ScoringSettings(**limits), lambda: self.now)
        self.calls: list[ExitStack] = []

    def come(self, seconds: float | None = None, payments: int = 1) -> None:
        call = ExitStack()
        call.enter_context(self.admission(seconds, payments))
        self.calls.append(call)

    def leave(self, after: float = 0) -> None:
        self.now += after
        self.calls.pop(0).close()


def test_as_many_come_in_as_the_limit_says_and_one_more_when_one_has_left() -> None:
    door = Door(max_waiting=3)
    for _ in range(3):
        door.come()
    with pytest.raises(Unavailable) as refused:
        door.come()
    assert refused.value.slug == "overloaded"
    assert door.admission.inside == 3
    door.leave()
    door.come()


def test_who_would_wait_for_a_quarter_of_his_time_is_told_at_once() -> None:
    door = Door(deadline_seconds=1, max_waiting=1000)
    # Nothing is known of how fast they leave: they come in.
    for _ in range(600):
        door.come()
    for _ in range(500):
        door.leave(after=0.01)
    assert door.admission.expected_wait == pytest.approx(1.0, rel=0.01)
    with pytest.raises(Unavailable):
        door.come()
    for _ in range(76):
        door.leave(after=0.01)
    # 24 are inside. One with less time, and one who asks for more than anybody gets.
    with pytest.raises(Unavailable):
        door.come(seconds=0.9)
    door.come(seconds=60)


def test_who_brings_a_batch_may_wait_for_half_of_his_time() -> None:
    door = Door(deadline_seconds=1, max_waiting=1000)
    for _ in range(600):
        door.come()
    for _ in range(552):
        door.leave(after=0.01)
    with pytest.raises(Unavailable):
        door.come()
    door.come(payments=100)
    with pytest.raises(Unavailable):
        door.come(payments=100)


def test_a_quiet_time_says_nothing_of_what_could_be_done() -> None:
    door = Door(deadline_seconds=1, max_waiting=1000)
    door.come()
    for _ in range(50):
        door.come()
        door.leave(after=2)
    assert door.admission.expected_wait == 0
    for _ in range(200):
        door.come()


def test_a_batch_is_one_call_and_as_much_work_as_its_payments() -> None:
    door = Door(max_waiting=2)
    door.come(payments=100)
    door.come(payments=100)
    with pytest.raises(Unavailable):
        door.come()
    assert door.admission.inside == 200
    door.leave(after=1)
    assert door.admission.inside == 100
    door.come()


def test_how_fast_they_left_is_forgotten_when_the_busy_time_is_over() -> None:
    door = Door(deadline_seconds=1, max_waiting=1000)
    for _ in range(100):
        door.come()
    for _ in range(80):
        door.leave(after=1)
    with pytest.raises(Unavailable):
        door.come()
    for _ in range(13):
        door.leave(after=0.001)
    assert door.admission.expected_wait == 0
    for _ in range(100):
        door.come()
