"""Event time of one tenant on one partition: how far its stream has come, and which events are late.

One clock a partition, so that it has one writer. A subject's events are on one partition, hence judged by one clock.

A sender's clock may be wrong, so no event moves the clock past its own acceptance plus five minutes.

"Behind the watermark" compares an event with what had been accepted *before* it, by a margin of a few seconds: requests in
flight together arrive in any order, and after a restart one partition is read ahead of another; neither makes an event late.
"""

from __future__ import annotations

from typing import Final

from weir_anomaly.domain.rule import State

MAX_AHEAD_SECONDS: Final = 300.0
LATE_SECONDS: Final = 900.0
CONCURRENT_SECONDS: Final = 5.0
_HISTORY: Final = 64


class TenantClock(State, frozen=True):
    """``watermark`` is the greatest event time seen. ``history`` holds (second of acceptance, greatest event time in it)."""

    watermark: float = 0.0
    history: tuple[tuple[int, float], ...] = ()

    def advance(self, at: float, accepted_at: float) -> TenantClock:
        """The clock after an event of time ``at`` that was accepted at ``accepted_at``."""
        at = min(at, accepted_at + MAX_AHEAD_SECONDS)
        second = int(accepted_at)
        history = self.history
        for index in range(len(history) - 1, -1, -1):
            known_second, known_at = history[index]
            if known_second == second:
                if at <= known_at:
                    return self
                history = (*history[:index], (second, at), *history[index + 1 :])
                break
            if known_second < second:
                history = (*history[: index + 1], (second, at), *history[index + 1 :])
                break
        else:
            history = ((second, at), *history)
        return TenantClock(max(self.watermark, at), history[-_HISTORY:])

    def is_late(self, at: float, accepted_at: float) -> bool:
        """Whether an event lies more than 15 minutes behind what had been accepted clearly before it."""
        if at >= self.watermark - LATE_SECONDS:
            return False
        before = accepted_at - CONCURRENT_SECONDS
        seen = [known_at for second, known_at in self.history if second + 1 <= before]
        return bool(seen) and at < max(seen) - LATE_SECONDS
