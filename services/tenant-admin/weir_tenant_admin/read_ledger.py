"""The books of a tenant over a timeframe: each minute, and where it does not balance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from weir_common.ids import TenantId

from weir_tenant_admin.domain.ledger import Done, Minute, balance
from weir_tenant_admin.ports import Clock, LedgerSides, LedgerSource

CONSUMERS = ("analytics.books", "analytics.lake.events", "anomaly.rules", "fraud.score")
"""Those that must deal with every accepted event."""


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
        minutes = [balanced_sides(sides, now) for sides in await self._source.sides(tenant_id, since)]
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


def balanced_sides(sides: LedgerSides, now: datetime) -> Minute:
    """The two sides of a minute beside each other."""
    return balance(sides.minute, sides.received, sides.fates, sides.consumers, expected=CONSUMERS, now=now)
