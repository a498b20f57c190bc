from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from weir_common.problems import InvalidRequest
from weir_common.time_parameter import read_time

ZONES = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(
    lambda offset: timezone(timedelta(minutes=offset // timedelta(minutes=1)))
)
MOMENTS = st.datetimes(timezones=ZONES).filter(lambda moment: 1 < moment.year < 9999)


@given(MOMENTS)
def test_a_time_with_its_zone_is_read(moment: datetime) -> None:
    assert read_time("since", moment.isoformat()) == moment
    assert read_time("since", moment.isoformat().replace("+", " ")) == moment, "a plus sign that was not encoded"
    assert read_time("since", moment.isoformat().lower()).tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "1764067800",
        "2026-11-25",
        "2026-11-25T10:30:00",
        "2026-11-25 10:30",
        "now",
        "",
        "2026-02-30T00:00:00Z",
        "0001-01-01T00:00:00+10:00",
        "٢٠٢٦-11-25T10:30:00Z",
    ],
)
def test_anything_else_is_named_with_its_parameter(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_time("since", text)
    (error,) = caught.value.errors
    assert (error.parameter, error.got) == ("since", text)
    assert error.expected is not None
    assert "RFC 3339" in error.expected
