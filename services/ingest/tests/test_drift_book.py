"""Unknown fields are counted by day, and an outage of the store loses none."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pytest
from weir_common.errors import RetryError
from weir_common.ids import TenantId
from weir_ingest.adapters.memory_drift import MemoryDrift
from weir_ingest.domain.drift import Sighting
from weir_ingest.drift_book import KEPT_DAYS, DriftBook

A, B = TenantId("a"), TenantId("b")


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 25, 23, 59, 58, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


class Flaky(MemoryDrift):
    """Away for one tenant as long as it is named."""

    away: TenantId | None = None

    async def add(self, tenant_id: TenantId, sightings: Sequence[Sighting], *, forget_before: date) -> None:
        if tenant_id == self.away:
            raise RetryError("away")
        await super().add(tenant_id, sightings, forget_before=forget_before)


async def test_events_are_counted_by_day_field_and_version() -> None:
    store, clock = MemoryDrift(), Clock()
    book = DriftBook(store, clock=clock)
    for _ in range(3):
        book.count(A, "2.1", "/coupon")
    book.count(A, "2.2", "/coupon")
    book.count(B, "2.1", "/other")
    await book.flush()
    await book.flush()
    found = await store.read(A, date(2026, 11, 25), limit=10)
    assert [(one.field, one.schema_version, one.events, one.days) for one in found] == [
        ("/coupon", "2.1", 3, 2),
        ("/coupon", "2.2", 1, 1),
    ]
    assert found[0].last_seen_at - found[0].first_seen_at == timedelta(seconds=2)
    assert [one.events for one in await store.read(A, date(2026, 11, 26), limit=1)] == [2]


async def test_what_could_not_be_written_waits_and_is_written_once() -> None:
    store, clock = Flaky(), Clock()
    book = DriftBook(store, clock=clock)
    store.away = A
    book.count(A, "2.1", "/x")
    first = clock.now
    with pytest.raises(RetryError):
        await book.flush()
    clock.now = first
    book.count(A, "2.1", "/x")
    store.away = None
    await book.flush()
    await book.flush()
    (found,) = await store.read(A, date(2026, 1, 1), limit=10)
    assert (found.events, found.first_seen_at) == (2, first)


async def test_old_days_are_forgotten() -> None:
    store, clock = MemoryDrift(), Clock()
    book = DriftBook(store, clock=clock)
    book.count(A, "2.1", "/old")
    await book.flush()
    clock.now += timedelta(days=KEPT_DAYS + 1)
    book.count(A, "2.1", "/new")
    await book.flush()
    assert [one.field for one in await store.read(A, date(2000, 1, 1), limit=10)] == ["/new"]
