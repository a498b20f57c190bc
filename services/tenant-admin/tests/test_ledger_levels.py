"""Durability and correctness, from the books."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from weir_common.ids import TenantId
from weir_tenant_admin.domain.ledger import SETTLED_AFTER, Done
from weir_tenant_admin.domain.service_levels import ARCHIVE, ARCHIVED_AFTER, FreshnessMinute, RequestMinute
from weir_tenant_admin.ports import LedgerDigest, LedgerSides
from weir_tenant_admin.read_ledger import CONSUMERS
from weir_tenant_admin.report_service_levels import Indicator, ServiceLevelReport

NOW = datetime(2026, 11, 25, 10, 30, tzinfo=UTC)
TENANT = TenantId("shop")


class NoRequests:
    """Nothing but the books is asked here."""

    async def request_minutes(
        self, tenant_id: TenantId, since: datetime, *, routes: Sequence[str] | None, fast_within: Literal["50ms", "5s"]
    ) -> Sequence[RequestMinute]:
        return []

    async def latency_histogram(
        self, tenant_id: TenantId, since: datetime, *, routes: Sequence[str] | None
    ) -> Sequence[int]:
        return []

    async def freshness_minutes(self, tenant_id: TenantId, since: datetime, service: str) -> Sequence[FreshnessMinute]:
        return []


class Books:
    """``even``: told as a number only, as the store does with most."""

    def __init__(self, *sides: LedgerSides, even: Sequence[tuple[datetime, int]] = ()) -> None:
        self._sides = sides
        self._even = even

    async def digest(self, tenant_id: TenantId, since: datetime, consumers: Sequence[str]) -> LedgerDigest:
        assert tuple(consumers) == CONSUMERS
        return LedgerDigest(
            [one for one in self._even if one[0] >= since], [side for side in self._sides if side.minute >= since]
        )


def minute(ago: timedelta, accepted: int = 10, **done: int) -> LedgerSides:
    """A minute in which each consumer did what was accepted, but for those named (``lake``, ``fraud``)."""
    names = {"lake": ARCHIVE, "fraud": "fraud.score", "rules": "anomaly.rules", "books": "analytics.books"}
    consumers = dict.fromkeys(CONSUMERS, Done(accepted)) | {names[name]: Done(events) for name, events in done.items()}
    return LedgerSides(NOW - ago, accepted + 1, {"accepted": accepted, "invalid": 1}, consumers)


async def indicators(
    *sides: LedgerSides, timeframe: timedelta = timedelta(days=1), even: Sequence[tuple[datetime, int]] = ()
) -> dict[str, Indicator]:
    report = await ServiceLevelReport(NoRequests(), Books(*sides, even=even), lambda: NOW)(TENANT, timeframe)
    return {indicator.objective.name: indicator for indicator in report.indicators}


def shown(indicator: Indicator) -> tuple[str, int, int]:
    assert indicator.counts is not None
    return indicator.state, indicator.counts.good, indicator.counts.valid


LATE, LONG_AGO = SETTLED_AFTER + timedelta(minutes=1), ARCHIVED_AFTER + timedelta(minutes=1)


async def test_without_traffic_nothing_is_claimed() -> None:
    found = await indicators()
    assert [found[name].state for name in ("durability", "correctness")] == ["no_data", "no_data"]


async def test_books_that_balance_meet_both() -> None:
    found = await indicators(minute(LATE), minute(LONG_AGO, 5))
    assert shown(found["durability"]) == ("met", 15, 15)
    assert shown(found["correctness"]) == ("met", 2, 2)
    assert found["correctness"].burn["3d"] == 0


async def test_minutes_in_which_nothing_is_amiss_count_as_such() -> None:
    even = [(NOW - LATE, 10), (NOW - LONG_AGO, 5), (NOW - LONG_AGO - timedelta(minutes=1), 0), (NOW, 99)]
    found = await indicators(minute(LATE + timedelta(minutes=1), fraud=9), even=even)
    assert shown(found["durability"]) == ("met", 25, 25)
    assert found["durability"].by_minute is not None
    assert found["durability"].by_minute.valid == 3, "nothing was acknowledged in one of them"
    assert shown(found["correctness"]) == ("missed", 3, 4)


async def test_a_minute_that_is_still_being_done_is_not_judged() -> None:
    found = await indicators(minute(timedelta(minutes=1), lake=0, fraud=3), minute(LATE))
    assert shown(found["durability"]) == ("met", 10, 10)
    assert shown(found["correctness"]) == ("met", 1, 1)


async def test_an_event_that_nobody_found_is_a_loss_and_leaves_no_budget() -> None:
    found = await indicators(minute(LATE, lake=9, fraud=9, rules=9, books=9), minute(LONG_AGO))
    assert shown(found["durability"]) == ("missed", 19, 20)
    assert found["durability"].by_minute is not None
    assert (found["durability"].by_minute.good, found["durability"].by_minute.valid) == (1, 2)
    assert found["durability"].budget is None
    assert set(found["durability"].burn.values()) == {None}
    assert shown(found["correctness"]) == ("missed", 1, 2)
    assert found["correctness"].burn["3d"] == pytest.approx(0.5 / 0.0001)


async def test_what_one_consumer_has_not_done_is_incorrect_and_not_lost() -> None:
    found = await indicators(minute(LONG_AGO, fraud=7))
    assert shown(found["durability"]) == ("met", 10, 10)
    assert shown(found["correctness"]) == ("missed", 0, 1)


@pytest.mark.parametrize(("ago", "state"), [(LATE, "met"), (LONG_AGO, "missed")])
async def test_what_the_archive_lacks_is_lost_once_it_had_time_to_catch_up(ago: timedelta, state: str) -> None:
    found = await indicators(minute(ago, lake=8))
    assert found["durability"].state == state
    assert found["correctness"].state == "missed"


async def test_what_was_never_answered_for_is_no_loss_and_hides_none() -> None:
    found = await indicators(minute(LATE, lake=12, fraud=12, rules=12, books=12))
    assert shown(found["durability"]) == ("met", 10, 10)
    assert shown(found["correctness"]) == ("met", 1, 1)
    found = await indicators(minute(LATE, lake=12, fraud=12, rules=12, books=12), minute(LONG_AGO, lake=9))
    assert shown(found["durability"]) == ("missed", 19, 20)


async def test_what_was_not_answered_for_and_came_again_later_is_no_loss() -> None:
    week = timedelta(days=7)
    again = LedgerSides(NOW - week, 10, {"accepted": 10}, dict.fromkeys(CONSUMERS, Done(8, 2)))
    # Longer ago than the report looks back.
    first = minute(week + timedelta(minutes=10), lake=12, fraud=12, rules=12, books=12)
    found = await indicators(first, again, timeframe=week)
    assert shown(found["durability"]) == ("met", 10, 10)
    assert shown(found["correctness"]) == ("met", 1, 1)
    found = await indicators(again, timeframe=week)
    assert shown(found["durability"]) == ("missed", 8, 10)
    assert shown(found["correctness"]) == ("missed", 0, 1)


async def test_the_timeframe_is_kept() -> None:
    found = await indicators(minute(LATE), minute(timedelta(hours=30), lake=1), timeframe=timedelta(hours=1))
    assert shown(found["durability"]) == ("met", 10, 10)
    assert found["correctness"].burn["1h"] == 0
    assert found["correctness"].burn["3d"] > 0  # type: ignore[operator]
