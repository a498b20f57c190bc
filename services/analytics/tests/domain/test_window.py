from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from weir_analytics.domain.window import LONGEST, MOST_POINTS, Window

times = st.floats(-1e9, 4e9)


@given(times, st.floats(1, LONGEST))
def test_reads_cover_the_whole_minutes_of_the_range_once(start: float, length: float) -> None:
    assume(start + length - start <= LONGEST)  # floats
    window = Window.over(start, start + length)
    assert window.start <= start
    assert window.end >= start + length
    assert window.start % 60 == window.end % 60 == 0
    assert window.end - window.start < length + 120
    at = window.start
    for read in window.reads():
        assert read.start == at
        assert read.start % read.step == read.end % read.step == 0
        assert window.step % read.step == 0
        at = read.end
    assert at == window.end
    assert 0 < len(window.buckets) <= MOST_POINTS
    assert window.buckets[0] <= window.start < window.buckets[0] + window.step


@pytest.mark.parametrize(
    ("hours", "step"), [(1 / 60, 60), (4, 60), (4.1, 900), (24, 900), (60, 900), (61, 3600), (744, 21600)]
)
def test_the_step_grows_with_the_range(hours: float, step: int) -> None:
    for start in (0, 12.5):
        assert Window.over(start, start + hours * 3600).step == step


@pytest.mark.parametrize(("start", "end"), [(60, 60), (120, 60), (0, LONGEST + 1)])
def test_an_empty_or_endless_range_is_refused(start: float, end: float) -> None:
    with pytest.raises(ValueError, match="range"):
        Window.over(start, end)
