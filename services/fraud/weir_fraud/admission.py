"""Who may come in to be decided on: as many as can be answered in time, and no more.

A server that takes all that comes answers everybody too late as soon as more comes than it can do. So the time that one who comes now would
wait is estimated from how fast they leave, and whoever would wait too long is told at once, before anything is done for him (CoDel's
insight, Nichols and Jacobson, ACM Queue 2012: it is the time in the queue that counts, not its length).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from weir_common.problems import Unavailable

from weir_fraud.settings import ScoringSettings

_HOPE: Final = 0.25
"""Of a call's time. Longer queues would not have more decided; the rest is for its own work, and for when it takes longer than of late."""
_HOPE_OF_BATCH: Final = 0.5
"""No shopper waits for it, and two others that are inside fill a quarter already."""
_BUSY: Final = 8
"""With fewer inside, the pace of leaving is the pace of coming and tells nothing of what could be done."""
_WEIGHT: Final = 0.02
"""Of one payment in the mean: the last fifty make most of it."""


class Admission:
    """Counts who is inside: from the credential's check to the answer."""

    def __init__(self, limits: ScoringSettings, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._monotonic = monotonic
        self._calls = 0
        self._inside = 0
        self._pace = 0.0
        self._left_at: float | None = None
        self._empty = asyncio.Event()
        """Set for an instant whenever the last one leaves."""

    @property
    def inside(self) -> int:
        """Payments that are being worked on or wait."""
        return self._inside

    @property
    def expected_wait(self) -> float:
        """Seconds until one who came now would be answered, if it goes on as of late."""
        return self._inside * self._pace

    async def until_empty(self) -> None:
        """Until nobody is inside; at once if nobody is."""
        while self._inside:
            await self._empty.wait()

    @contextmanager
    def __call__(self, seconds: float | None, payments: int = 1) -> Iterator[None]:
        """Be inside. `Unavailable` for one who would wait for a quarter of his `seconds`, with a batch for half, or when too many calls are inside."""
        limit = self._limits.deadline_seconds if seconds is None else min(seconds, self._limits.deadline_seconds)
        hope = _HOPE if payments == 1 else _HOPE_OF_BATCH
        if self._calls >= self._limits.max_waiting or self.expected_wait > hope * limit:
            raise Unavailable("Too many payments wait to be scored.", slug="overloaded")
        self._calls += 1
        self._inside += payments
        try:
            yield
        finally:
            self._left(payments)

    def _left(self, payments: int) -> None:
        busy = self._inside >= _BUSY
        self._calls -= 1
        self._inside -= payments
        if not self._inside:
            self._empty.set()
            self._empty.clear()
        now = self._monotonic()
        if busy and self._left_at is not None:
            share = min(1.0, _WEIGHT * payments)
            self._pace += share * ((now - self._left_at) / payments - self._pace)
        self._left_at = now if busy else None
        if self._inside < _BUSY:
            # The next busy time may have another reason: after one in which PostgreSQL stood still, a moment without Valkey is no overload.
            self._pace = 0.0
