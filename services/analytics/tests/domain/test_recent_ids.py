from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from weir_analytics.domain.recent_ids import WINDOW, RecentIds, id64


@given(st.lists(st.lists(st.integers(0, 40), max_size=12), max_size=8))
def test_an_id_is_fresh_exactly_once(batches: list[list[int]]) -> None:
    recent, seen = RecentIds(), set[int]()
    for at, batch in enumerate(batches):
        for number, fresh in zip(batch, recent.fresh([id64("t", str(number)) for number in batch]), strict=True):
            assert fresh == (number not in seen)
            seen.add(number)
        recent.add((id64("t", str(number)) for number in batch), at)


def test_ids_are_forgotten_after_fifteen_minutes_of_the_log() -> None:
    recent = RecentIds()
    recent.add([1], 0)
    recent.add([2], WINDOW)
    assert recent.fresh([1, 2, 3]) == [False, False, True]
    recent.add([3], WINDOW + 1)
    assert recent.fresh([1, 2, 3]) == [True, False, False]
    assert len(recent) == 2


def test_few_runs_are_searched_however_often_ids_come() -> None:
    recent, half_a_second = RecentIds(), WINDOW // 1_800
    for number in range(3_600):
        recent.add([number * 4, number * 4 + 1, number * 4 + 2], number * half_a_second)
    assert recent.runs < 150
    first_kept = (3_600 - 1_801) * 4
    assert recent.fresh([first_kept, first_kept + 3, 3_599 * 4]) == [False, True, False]
    forgotten = len(recent) - 1_801 * 3
    assert 0 <= forgotten <= 121 * 3, "what is older than the window by more than a minute is not kept"


def test_ids_belong_to_their_tenant() -> None:
    assert id64("t", "e") != id64("u", "e")
