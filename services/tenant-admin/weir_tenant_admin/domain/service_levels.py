"""Service level indicators: what counts as valid and what as good, from requests counted by minute.

A request that the client got wrong (4xx) is not valid, nor is one over his own quota (429): both are listed as excluded.
``fast`` counts only answers below 500, so an error is never good for being quick.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from weir_tenant_admin.domain.error_budget import NOTHING, Counts
from weir_tenant_admin.domain.ledger import ACCEPTED, SETTLED_AFTER, Minute

BAD_MINUTE_SHARE = 0.05
BAD_MINUTE_REQUESTS = 20
"""A minute is bad if at least 5 % of at least 20 requests failed; below that one failure would say too much."""


@dataclass(frozen=True, slots=True)
class RequestMinute:
    """Requests of one tenant in one minute, over the routes of one indicator."""

    minute: datetime
    total: int
    client_errors: int
    """4xx except 429."""
    over_quota: int
    """429."""
    server_errors: int
    fast: int
    """Answered below 500 within the indicator's time."""

    def counts(self) -> Counts:
        """Good and valid requests. Excluded ones are taken off the fast ones too: never more good than there was."""
        excluded = self.client_errors + self.over_quota
        valid = max(0, self.total - excluded)
        return Counts(min(valid, max(0, self.fast - excluded)), valid)


@dataclass(frozen=True, slots=True)
class Objective:
    """One promise."""

    name: str
    target: float
    good: str
    valid: str


AVAILABILITY = Objective("availability", 0.9999, "status below 500 within 5 s", "requests, less 4xx and own quota")
FRAUD_LATENCY = Objective("fraud_latency", 0.999, "decision within 50 ms", "requests for a decision, less 4xx")
FRESHNESS = Objective("freshness", 0.999, "events visible within 1 s", "seconds in which the consumers reported")
DURABILITY = Objective("durability", 1.0, "acknowledged events found by the ledger", "acknowledged events")
CORRECTNESS = Objective("correctness", 0.9999, "minutes in which the ledger balances", "minutes with traffic")

FRESHNESS_SECONDS = 1.0


def request_counts(minutes: Iterable[RequestMinute]) -> Counts:
    """Good and valid requests."""
    total = NOTHING
    for minute in minutes:
        total += minute.counts()
    return total


def minute_counts(minutes: Iterable[RequestMinute]) -> Counts:
    """Good minutes among those with valid requests."""
    good = valid = 0
    for minute in minutes:
        counts = minute.counts()
        if counts.valid == 0:
            continue
        valid += 1
        bad = counts.valid >= BAD_MINUTE_REQUESTS and counts.bad >= BAD_MINUTE_SHARE * counts.valid
        good += not bad
    return Counts(good, valid)


@dataclass(frozen=True, slots=True)
class FreshnessMinute:
    """One minute of a tenant as two sets of its 60 seconds, a bit each: watched, and late.

    Sets of seconds add up by OR, so a repeated or overlapping report changes nothing.
    """

    minute: datetime
    watched: int
    late: int

    def counts(self) -> Counts:
        """Good and valid seconds."""
        return Counts((self.watched & ~self.late).bit_count(), self.watched.bit_count())


@dataclass(slots=True)
class SecondSets:
    """Collects seconds into minutes: minute (epoch) → (watched, late)."""

    minutes: dict[int, tuple[int, int]] = field(default_factory=dict)

    def add(self, first: int, last: int, *, late: bool) -> None:
        """The seconds from ``first`` to ``last``, both included, as epochs."""
        for second in range(first, last + 1):
            minute, bit = divmod(second, 60)
            watched, was_late = self.minutes.get(minute, (0, 0))
            self.minutes[minute] = (watched | 1 << bit, was_late | (1 << bit if late else 0))


def second_counts(minutes: Iterable[FreshnessMinute]) -> Counts:
    """Good and valid seconds."""
    total = NOTHING
    for minute in minutes:
        total += minute.counts()
    return total


def good_minute_counts(minutes: Iterable[FreshnessMinute]) -> Counts:
    """Minutes without a late second among those watched."""
    good = valid = 0
    for minute in minutes:
        valid += minute.watched != 0
        good += minute.watched != 0 and minute.watched & minute.late == 0
    return Counts(good, valid)


ARCHIVE = "analytics.lake.events"
ARCHIVED_AFTER = timedelta(hours=1)
"""For so long an event that the archive lacks counts as there if another consumer has found it: the log still holds it, and the
archive may have been away. Later only the archive's word counts, since the log forgets."""


@dataclass(frozen=True, slots=True)
class BooksMinute:
    """What the ledger says of a minute, as much of it as the indicators need."""

    minute: datetime
    acknowledged: int
    found: int
    """Of the acknowledged events, those that are still there."""
    balanced: bool


def judged(minute: Minute, now: datetime) -> BooksMinute:
    """From both sides of the books."""
    acknowledged = minute.fates.get(ACCEPTED, 0)
    witnesses = (ARCHIVE,) if now - minute.minute >= ARCHIVED_AFTER else tuple(minute.consumers)
    found = max((minute.consumers[name].events for name in witnesses if name in minute.consumers), default=0)
    # A repeat's first copy is there, in the minute of its own acceptance.
    return BooksMinute(minute.minute, acknowledged, min(found + minute.repeated, acknowledged), minute.balanced)


def settled(minutes: Iterable[BooksMinute], now: datetime) -> list[BooksMinute]:
    """Those that are old enough to be judged."""
    return [minute for minute in minutes if now - minute.minute >= SETTLED_AFTER]


def found_counts(minutes: Iterable[BooksMinute]) -> Counts:
    """Acknowledged events, and those of them that are still there."""
    good = valid = 0
    for minute in minutes:
        good += minute.found
        valid += minute.acknowledged
    return Counts(good, valid)


def whole_minute_counts(minutes: Iterable[BooksMinute]) -> Counts:
    """Minutes in which something was acknowledged, and those of them of which nothing is missing."""
    whole = [minute.found == minute.acknowledged for minute in minutes if minute.acknowledged]
    return Counts(sum(whole), len(whole))


def balanced_counts(minutes: Iterable[BooksMinute]) -> Counts:
    """Minutes with traffic, and those of them that balance."""
    balanced = [minute.balanced for minute in minutes]
    return Counts(sum(balanced), len(balanced))
