"""Error budgets and burn rates (Google, The Site Reliability Workbook, chapter 5).

An objective of 99.99 % leaves a budget of 0.01 %. The burn rate is how many times faster than evenly the budget is being
used: 1 uses it up exactly at the end of the period. Nothing measured is nothing known: every function says None then, and also for
an objective of 100 %, which leaves no budget that could be used at any rate.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counts:
    """Good and valid, in whatever is counted: requests, minutes or seconds."""

    good: int
    valid: int

    def __post_init__(self) -> None:
        if not 0 <= self.good <= self.valid:
            raise ValueError(f"good must lie between 0 and valid, got {self.good} of {self.valid}")

    @property
    def bad(self) -> int:
        """Valid but not good."""
        return self.valid - self.good

    @property
    def ratio(self) -> float | None:
        """Good of valid; None when nothing valid was seen."""
        return self.good / self.valid if self.valid else None

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.good + other.good, self.valid + other.valid)


NOTHING = Counts(0, 0)


@dataclass(frozen=True, slots=True)
class Budget:
    """What is left of the error budget of a window; negative when more was used than there was."""

    total_seconds: float
    used_share: float
    left_seconds: float
    left_percent: float


def burn_rate(counts: Counts, objective: float) -> float | None:
    """Share of bad over the share that the objective allows."""
    if counts.valid == 0 or objective >= 1:
        return None
    return counts.bad / counts.valid / (1 - objective)


def budget(counts: Counts, objective: float, window_seconds: float) -> Budget | None:
    """The budget in seconds of total failure: 99.99 % of 30 days is 259.2 s."""
    used = burn_rate(counts, objective)
    if used is None:
        return None
    total = (1 - objective) * window_seconds
    return Budget(total, used, total * (1 - used), 100 * (1 - used))
