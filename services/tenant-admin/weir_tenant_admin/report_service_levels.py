"""The service level report of a tenant: what was promised, what was measured, what is left of the error budget."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from weir_common.ids import TenantId

from weir_tenant_admin.domain.error_budget import Budget, Counts, budget, burn_rate
from weir_tenant_admin.domain.latency import quantile
from weir_tenant_admin.domain.service_levels import (
    AVAILABILITY,
    CORRECTNESS,
    DURABILITY,
    FRAUD_LATENCY,
    FRESHNESS,
    BooksMinute,
    FreshnessMinute,
    Objective,
    RequestMinute,
    balanced_counts,
    found_counts,
    good_minute_counts,
    judged,
    minute_counts,
    request_counts,
    second_counts,
    settled,
    whole_minute_counts,
)
from weir_tenant_admin.ports import Clock, LedgerDigest, LedgerDigests, ServiceLevelSource
from weir_tenant_admin.read_ledger import CONSUMERS, REPEATED_WITHIN, balanced_minutes

FRAUD_ROUTES = ("/api/v2/ml/inference/fraud",)
VISIBLE_IN = "analytics"
"""The service whose consumer makes an event visible on the dashboard."""

BURN_WINDOWS: Mapping[str, timedelta] = {
    "5m": timedelta(minutes=5),
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "3d": timedelta(days=3),
}


@dataclass(frozen=True, slots=True)
class Excluded:
    """What is not valid, and why."""

    reason: str
    requests: int


@dataclass(frozen=True, slots=True)
class Indicator:
    """One line of the report. ``counts`` is None when nothing can be counted yet; nothing is assumed then."""

    objective: Objective
    unit: str
    counts: Counts | None
    by_minute: Counts | None
    budget: Budget | None
    budget_by_minute: Budget | None
    burn: Mapping[str, float | None]
    excluded: Sequence[Excluded] = ()
    note: str = ""

    @property
    def state(self) -> str:
        """``no_data``, ``met`` or ``missed``."""
        ratio = self.counts.ratio if self.counts is not None else None
        if ratio is None:
            return "no_data"
        return "met" if ratio >= self.objective.target else "missed"


@dataclass(frozen=True, slots=True)
class Latency:
    """Quantiles of all answered requests in seconds, at most 20 % too high; None without requests."""

    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """The whole report, over [since, until)."""

    tenant_id: TenantId
    since: datetime
    until: datetime
    indicators: Sequence[Indicator]
    latency: Latency
    fraud_latency: Latency


class ServiceLevelReport:
    """Reads the minutes once, as far back as the longest burn window needs, and slices them."""

    def __init__(self, source: ServiceLevelSource, ledger: LedgerDigests, clock: Clock) -> None:
        self._source = source
        self._ledger = ledger
        self._clock = clock

    async def __call__(self, tenant_id: TenantId, timeframe: timedelta) -> Report:
        """Minutes are taken whole, from the one in which the timeframe begins."""
        now = self._clock()
        since = (now - timeframe).replace(second=0, microsecond=0)
        earliest = (now - max(timeframe, *BURN_WINDOWS.values())).replace(second=0, microsecond=0)
        requests = await self._source.request_minutes(tenant_id, earliest, routes=None, fast_within="5s")
        fraud = await self._source.request_minutes(tenant_id, earliest, routes=FRAUD_ROUTES, fast_within="50ms")
        freshness = await self._source.freshness_minutes(tenant_id, earliest, VISIBLE_IN)
        # What was repeated in the first of these minutes is explained by those before them.
        books = await self._ledger.digest(tenant_id, earliest - REPEATED_WITHIN, CONSUMERS)
        latency = await self._source.latency_histogram(tenant_id, since, routes=None)
        fraud_latency = await self._source.latency_histogram(tenant_id, since, routes=FRAUD_ROUTES)
        indicators = await asyncio.to_thread(_indicators, requests, fraud, freshness, books, since, now)
        return Report(tenant_id, since, now, indicators, _latency(latency), _latency(fraud_latency))


def _indicators(
    requests: Sequence[RequestMinute],
    fraud: Sequence[RequestMinute],
    freshness: Sequence[FreshnessMinute],
    books: LedgerDigest,
    since: datetime,
    now: datetime,
) -> list[Indicator]:
    even = (BooksMinute(minute, acknowledged, acknowledged, balanced=True) for minute, acknowledged in books.even)
    uneven = (judged(minute, now) for minute in balanced_minutes(books.uneven, now))
    minutes = settled((*even, *uneven), now)
    return [
        request_indicator(AVAILABILITY, requests, since, now),
        request_indicator(FRAUD_LATENCY, fraud, since, now),
        _freshness_indicator(freshness, since, now),
        _durability_indicator(minutes, since, now),
        _correctness_indicator(minutes, since, now),
    ]


def request_indicator(
    objective: Objective, minutes: Sequence[RequestMinute], since: datetime, now: datetime
) -> Indicator:
    """An indicator of requests; ``minutes`` may reach further back than ``since``."""
    window = [minute for minute in minutes if minute.minute >= since]
    counts, by_minute = request_counts(window), minute_counts(window)
    seconds = (now - since).total_seconds()
    return Indicator(
        objective=objective,
        unit="requests",
        counts=counts,
        by_minute=by_minute,
        budget=budget(counts, objective.target, seconds),
        budget_by_minute=budget(by_minute, objective.target, seconds),
        burn={
            name: burn_rate(
                request_counts(minute for minute in minutes if minute.minute >= now - length), objective.target
            )
            for name, length in BURN_WINDOWS.items()
        },
        excluded=[
            Excluded("client error (4xx)", sum(minute.client_errors for minute in window)),
            Excluded("over the tenant's own quota (429)", sum(minute.over_quota for minute in window)),
        ],
    )


def _freshness_indicator(minutes: Sequence[FreshnessMinute], since: datetime, now: datetime) -> Indicator:
    window = [minute for minute in minutes if minute.minute >= since]
    counts, by_minute = second_counts(window), good_minute_counts(window)
    seconds = (now - since).total_seconds()
    return Indicator(
        objective=FRESHNESS,
        unit="seconds",
        counts=counts,
        by_minute=by_minute,
        budget=budget(counts, FRESHNESS.target, seconds),
        budget_by_minute=budget(by_minute, FRESHNESS.target, seconds),
        burn={
            name: burn_rate(
                second_counts(minute for minute in minutes if minute.minute >= now - length), FRESHNESS.target
            )
            for name, length in BURN_WINDOWS.items()
        },
        note="lag of the consumer behind the dashboard, on the tenant's partitions",
    )


def _durability_indicator(minutes: Sequence[BooksMinute], since: datetime, now: datetime) -> Indicator:
    window = [minute for minute in minutes if minute.minute >= since]
    return Indicator(
        objective=DURABILITY,
        unit="events",
        counts=found_counts(window),
        by_minute=whole_minute_counts(window),
        budget=None,
        budget_by_minute=None,
        burn=dict.fromkeys(BURN_WINDOWS),
        note="minutes older than three; after an hour only what is archived counts. 100 % leaves no budget: any loss is an incident",
    )


def _correctness_indicator(minutes: Sequence[BooksMinute], since: datetime, now: datetime) -> Indicator:
    counts = balanced_counts(minute for minute in minutes if minute.minute >= since)
    left = budget(counts, CORRECTNESS.target, (now - since).total_seconds())
    return Indicator(
        objective=CORRECTNESS,
        unit="minutes",
        counts=counts,
        by_minute=counts,
        budget=left,
        budget_by_minute=left,
        burn={
            name: burn_rate(
                balanced_counts(minute for minute in minutes if minute.minute >= now - length), CORRECTNESS.target
            )
            for name, length in BURN_WINDOWS.items()
        },
        note="minutes older than three, by the conservation ledger (GET /api/v2/ops/ledger)",
    )


def _latency(histogram: Sequence[int]) -> Latency:
    return Latency(quantile(histogram, 0.5), quantile(histogram, 0.95), quantile(histogram, 0.99))
