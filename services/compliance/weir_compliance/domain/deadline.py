"""When an answer is due (GDPR Art. 12(3); 11 CCR §7021(b)). The figures are data (table `regime`), the arithmetic
is here.
"""

import calendar
from collections.abc import Set
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone

_SATURDAY = 5


@dataclass(frozen=True, slots=True)
class AnswerPeriod:
    """How long a regime gives for an answer: whole calendar months, or calendar days, counted from receipt.

    `moves_to_working_day`: a period that ends on a weekend or public holiday ends with the next working day
    (Reg. (EEC, Euratom) 1182/71 Art. 3(4); it applies to GDPR, not to California's calendar days).
    """

    months: int
    days: int
    moves_to_working_day: bool

    def __post_init__(self) -> None:
        if (self.months > 0) == (self.days > 0) or self.months < 0 or self.days < 0:
            raise ValueError("an answer period is either a number of months or a number of days")


def due_date(received_on: date, period: AnswerPeriod, holidays: Set[date]) -> date:
    """The last day on which the answer is in time.

    Months: the same day of the later month, or its last day where that day does not exist (1182/71 Art. 3(2)(c)).
    """
    if period.months:
        month_index = received_on.year * 12 + received_on.month - 1 + period.months
        year, month = divmod(month_index, 12)
        last = calendar.monthrange(year, month + 1)[1]
        due = date(year, month + 1, min(received_on.day, last))
    else:
        due = received_on + timedelta(days=period.days)
    if period.moves_to_working_day:
        while due.weekday() >= _SATURDAY or due in holidays:
            due += timedelta(days=1)
    return due


def due_at(received_at: datetime, period: AnswerPeriod, holidays: Set[date], zone: timezone = UTC) -> datetime:
    """The first instant at which the answer is late: midnight after the due date in the controller's zone."""
    received_on = received_at.astimezone(zone).date()
    return datetime.combine(due_date(received_on, period, holidays) + timedelta(days=1), time.min, tzinfo=zone)
