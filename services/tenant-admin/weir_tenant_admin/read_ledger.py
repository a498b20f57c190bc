"""The books of a tenant over a timeframe: each minute, and where it does not balance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from weir_common.ids import TenantId
from weir_common.kafka.window import WINDOW_SECONDS

from weir_tenant_admin.domain.ledger import Done, Minute, balance
from weir_tenant_admin.ports import Clock, LedgerSides, LedgerSource

CONSUMERS = ("analytics.books", "analytics.lake.events", "anomaly.rules", "fraud.score")
"""Those that must deal with every accepted event."""
REPEATED_WITHIN = timedelta(seconds=WINDOW_SECONDS)
"""An event that was not answered for may have come again for so long: the window in which consumers drop repeats. Later one takes
effect twice, and is no repeat in the books."""


@dataclass(frozen=True, slots=True)
class Books:
    """Minutes ascending, and their sums."""

    tenant_id: TenantId
    since: datetime
    until: datetime
    minutes: Sequence[Minute]
    received: int
    fates: Mapping[str, int]
    consumers: Mapping[str, Done]

    @property
    def balanced(self) -> bool:
        """Every minute balances."""
        return all(minute.balanced for minute in self.minutes)


class ReadLedger:
    """The use case."""

    def __init__(self, source: LedgerSource, clock: Clock) -> None:
        self._source = source
        self._clock = clock

    async def __call__(self, tenant_id: TenantId, length: timedelta) -> Books:
        """Minutes without any event are left out."""
        now = self._clock()
        since = (now - length).replace(second=0, microsecond=0)
        # What came again in the first of these minutes is explained by those before them.
        sides = await self._source.sides(tenant_id, since - REPEATED_WITHIN)
        minutes = [minute for minute in balanced_minutes(sides, now) if minute.minute >= since]
        fates: Counter[str] = Counter()
        done: dict[str, Done] = {}
        for minute in minutes:
            fates.update(minute.fates)
            for name, one in minute.consumers.items():
                sums = done.get(name, Done())
                done[name] = Done(
                    sums.applied + one.applied,
                    sums.duplicates + one.duplicates,
                    sums.quarantined + one.quarantined,
                )
        received = sum(minute.received for minute in minutes)
        return Books(tenant_id, since, now, minutes, received, dict(fates), done)


def balanced_minutes(sides: Iterable[LedgerSides], now: datetime) -> list[Minute]:
    """The two sides of each minute beside each other. Ascending; minutes in which nothing is amiss may be left out."""
    minutes: list[Minute] = []
    unanswered: dict[datetime, int] = {}
    """By minute, ascending: events that were not answered for and have not come again."""
    for side in sides:
        unanswered = {
            minute: events
            for minute, events in unanswered.items()
            if side.minute - minute <= REPEATED_WITHIN and events
        }
        minute = balance(
            side.minute,
            side.received,
            side.fates,
            side.consumers,
            expected=CONSUMERS,
            now=now,
            unanswered_before=sum(unanswered.values()),
        )
        _take(unanswered, minute.repeated)
        if minute.unanswered:
            unanswered[side.minute] = minute.unanswered
        minutes.append(minute)
    return minutes


def _take(unanswered: dict[datetime, int], repeated: int) -> None:
    """The oldest first."""
    for minute, events in list(unanswered.items()):
        taken = min(events, repeated)
        repeated -= taken
        unanswered[minute] = events - taken
