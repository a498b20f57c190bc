"""The time range of a dashboard, how finely it is drawn and from which rollups it is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from weir_analytics.domain.rollup import MINUTE, QUARTER_HOUR, Seconds

HOUR: Final = 3600
DAY: Final = 24 * HOUR
LONGEST: Final = 31 * DAY
MOST_POINTS: Final = 242
"""Of a series: 240 steps, and up to two more where the range begins and ends between two of them."""

_STEPS: Final = (MINUTE, QUARTER_HOUR, HOUR, 6 * HOUR)
"""A step is a multiple of each one before it: a coarser bucket is a union of finer ones."""


class Read(NamedTuple):
    """Rollups to read: those of `step` that start in [start, end)."""

    step: Seconds
    start: Seconds
    end: Seconds


@dataclass(frozen=True, slots=True)
class Window:
    """[start, end) in whole minutes of the Unix epoch, drawn in buckets of `step` seconds on the grid of UTC."""

    start: Seconds
    end: Seconds
    step: Seconds

    @classmethod
    def over(cls, start: float, end: float) -> Window:
        """The whole minutes that hold [start, end), with the finest step that stays within 240 points.

        ValueError if the range is empty or longer than 31 days.
        """
        first = int(start // MINUTE) * MINUTE
        last = -int(-end // MINUTE) * MINUTE
        if end <= start:
            raise ValueError("the range is empty")
        if end - start > LONGEST:
            raise ValueError("the range is longer than 31 days")
        step = next(step for step in _STEPS if (end - start) / step <= MOST_POINTS - 2)
        return cls(first, last, step)

    @property
    def buckets(self) -> range:
        """Starts of the buckets of a series; the first may begin before the range and then holds only what is in it."""
        return range(self.start - self.start % self.step, self.end, self.step)

    def reads(self) -> Iterator[Read]:
        """Which rollups make up the range: coarse ones inside where the step allows it, minutes at its edges."""
        inner_start = -(-self.start // QUARTER_HOUR) * QUARTER_HOUR
        inner_end = self.end // QUARTER_HOUR * QUARTER_HOUR
        if self.step < QUARTER_HOUR or inner_end <= inner_start:
            yield Read(MINUTE, self.start, self.end)
            return
        if self.start < inner_start:
            yield Read(MINUTE, self.start, inner_start)
        yield Read(QUARTER_HOUR, inner_start, inner_end)
        if inner_end < self.end:
            yield Read(MINUTE, inner_end, self.end)
