from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from weir_compliance.domain.deadline import AnswerPeriod, due_at, due_date

GDPR = AnswerPeriod(months=1, days=0, moves_to_working_day=True)
CCPA = AnswerPeriod(months=0, days=45, moves_to_working_day=False)


@pytest.mark.parametrize(
    ("received", "due"),
    [
        (date(2026, 1, 5), date(2026, 2, 5)),  # the same day next month
        (date(2026, 3, 31), date(2026, 4, 30)),  # which does not exist: the last day
        (date(2024, 1, 31), date(2024, 2, 29)),  # leap year
        (date(2025, 1, 31), date(2025, 2, 28)),
        (date(2026, 1, 14), date(2026, 2, 16)),  # 14 February 2026 is a Saturday
        (date(2025, 11, 25), date(2025, 12, 26)),  # Christmas Day
        (date(2025, 12, 1), date(2026, 1, 2)),  # New Year's Day, across the year
    ],
)
def test_gdpr_month(received: date, due: date) -> None:
    assert due_date(received, GDPR, {date(2025, 12, 25), date(2026, 1, 1)}) == due


def test_california_counts_calendar_days_whatever_day_it_ends_on() -> None:
    assert due_date(date(2026, 1, 1), CCPA, {date(2026, 2, 15)}) == date(2026, 2, 15)  # a Sunday


@given(st.dates(min_value=date(2000, 1, 1), max_value=date(2100, 12, 31)), st.sets(st.dates(), max_size=20))
def test_gdpr_over_all_dates(received: date, holidays: set[date]) -> None:
    due = due_date(received, GDPR, holidays)
    assert due.weekday() < 5
    assert due not in holidays
    without_moving = due_date(received, AnswerPeriod(months=1, days=0, moves_to_working_day=False), holidays)
    assert 28 <= (without_moving - received).days <= 31
    assert without_moving.day == received.day or (without_moving + timedelta(days=1)).day == 1
    # Only days that do not count were skipped.
    skipped = [without_moving + timedelta(days=n) for n in range((due - without_moving).days)]
    assert all(day.weekday() >= 5 or day in holidays for day in skipped)


def test_the_first_late_instant_is_midnight_after_the_due_date_where_the_controller_is() -> None:
    berlin = timezone(timedelta(hours=1))
    received = datetime(2026, 1, 4, 23, 30, tzinfo=UTC)  # already the 5th in Berlin
    assert due_at(received, GDPR, set()) == datetime(2026, 2, 5, tzinfo=UTC)
    assert due_at(received, GDPR, set(), berlin) == datetime(2026, 2, 6, tzinfo=berlin)


@pytest.mark.parametrize(("months", "days"), [(0, 0), (1, 1), (-1, 0), (0, -1)])
def test_a_period_is_months_or_days(months: int, days: int) -> None:
    with pytest.raises(ValueError, match="either"):
        AnswerPeriod(months=months, days=days, moves_to_working_day=False)
