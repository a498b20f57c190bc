"""Which minutes explain each other: what came again was unanswered before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from weir_common.ids import TenantId
from weir_tenant_admin.domain.ledger import Done, Place
from weir_tenant_admin.ports import LedgerSides
from weir_tenant_admin.read_ledger import CONSUMERS, REPEATED_WITHIN, ReadLedger

NOW = datetime(2026, 11, 25, 10, 30, tzinfo=UTC)
TENANT = TenantId("shop")
HOUR = timedelta(hours=1)


def minute(ago: timedelta, done: Done) -> LedgerSides:
    """Ten were accepted, and every consumer did the same."""
    return LedgerSides(NOW - ago, 10, {"accepted": 10}, dict.fromkeys(CONSUMERS, done))


def unanswered(ago: timedelta, events: int) -> LedgerSides:
    return minute(ago, Done(10 + events))


def repeated(ago: timedelta, events: int) -> LedgerSides:
    return minute(ago, Done(10 - events, events))


class Store:
    def __init__(self, sides: Sequence[LedgerSides]) -> None:
        self._sides = sorted(sides, key=lambda side: side.minute)

    async def sides(self, tenant_id: TenantId, since: datetime) -> Sequence[LedgerSides]:
        return [side for side in self._sides if side.minute >= since]


async def differences(store: Store) -> list[tuple[Place, int]]:
    """By place, each consumer's own told once."""
    books = await ReadLedger(store, lambda: NOW)(TENANT, HOUR)
    found = {(minute.minute, one.place): one.events for minute in books.minutes for one in minute.differences}
    return [(place, events) for (_, place), events in found.items()]


async def test_a_repeat_is_explained_by_an_earlier_minute_and_only_once() -> None:
    minutes = (9, 8, 7)
    first, again, once_more = (timedelta(minutes=ago) for ago in minutes)
    assert await differences(Store([unanswered(first, 3), repeated(again, 2), repeated(once_more, 1)])) == [
        (Place.UNANSWERED, 3),
        (Place.REPEATED, -2),
        (Place.REPEATED, -1),
    ]
    assert await differences(Store([unanswered(first, 3), repeated(again, 2), repeated(once_more, 2)])) == [
        (Place.UNANSWERED, 3),
        (Place.REPEATED, -2),
        (Place.REPEATED, -1),
        (Place.MISSING, -1),
    ]


async def test_a_later_minute_explains_nothing() -> None:
    minutes = [repeated(timedelta(minutes=9), 2), unanswered(timedelta(minutes=8), 2)]
    assert await differences(Store(minutes)) == [(Place.MISSING, -2), (Place.UNANSWERED, 2)]


async def test_the_minutes_before_those_asked_for_explain_and_are_not_told() -> None:
    again = repeated(timedelta(minutes=58), 2)
    first = timedelta(minutes=58) + REPEATED_WITHIN
    assert await differences(Store([unanswered(first, 2), again])) == [(Place.REPEATED, -2)]
    # Longer ago it would not have been dropped as a repeat: it is a new one that is lost.
    assert await differences(Store([unanswered(first + timedelta(minutes=1), 2), again])) == [(Place.MISSING, -2)]
    # Another has come again before: nothing is left that explains this one.
    earlier = repeated(timedelta(minutes=65), 2)
    assert await differences(Store([unanswered(timedelta(minutes=70), 2), earlier, again])) == [(Place.MISSING, -2)]
