"""How many records a micro-batch may hold: few while we keep up, since each waits for the last; many while we catch up."""

from __future__ import annotations

GROWTH_LIMIT = 8
"""Measured on the bench of frameworks: batches of 10,000 instead of 1,000 drain a backlog 38 % faster, at 3.5 µs of CPU an event less
here and 2.9 µs in PostgreSQL."""


class BatchSize:
    """Doubles after each full batch, up to ``growth`` times ``at_least``; the first that is not full ends the catching up."""

    def __init__(self, at_least: int, growth: int = GROWTH_LIMIT) -> None:
        self._at_least = at_least
        self._at_most = at_least * growth
        self.now = at_least

    def filled(self, records: int) -> None:
        """A batch of so many records was fetched."""
        full = records >= self.now
        self.now = min(self.now * 2, self._at_most) if full else self._at_least
