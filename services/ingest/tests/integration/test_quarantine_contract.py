"""What every quarantine must do, the fake and the real one."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from weir_common.ids import TenantId
from weir_common.kafka.consumer import Transaction
from weir_common.postgres import as_tenant, postgres_pool
from weir_ingest.adapters.memory_quarantine import MemoryQuarantine
from weir_ingest.adapters.postgres_quarantine import PostgresQuarantine, PostgresRefusedWriter
from weir_ingest.domain.quarantine import HeldState, Reason, RefusedEvent, Selection
from weir_ingest.ports import QuarantineStore
from weir_ingest.settings import IngestSettings

NOW = datetime(2026, 11, 25, 12, 0, 0, 123_457, tzinfo=UTC)
RETENTION = timedelta(days=14)
STATES = tuple(HeldState)
HELD = (HeldState.HELD,)
Write = Callable[[TenantId, Sequence[RefusedEvent]], Awaitable[None]]


@pytest.fixture
async def pool(mesh_settings: IngestSettings) -> AsyncIterator[asyncpg.Pool]:
    async with postgres_pool(mesh_settings.postgres, "test") as opened:
        yield opened


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.integration)])
def quarantine(request: pytest.FixtureRequest) -> tuple[QuarantineStore, Write]:
    if request.param == "memory":
        memory = MemoryQuarantine(retention=RETENTION)
        return memory, memory.write
    opened = request.getfixturevalue("pool")

    async def write(tenant_id: TenantId, refused: Sequence[RefusedEvent]) -> None:
        async with opened.acquire() as connection, connection.transaction():
            await as_tenant(connection, tenant_id)
            await PostgresRefusedWriter(Transaction(connection), retention=RETENTION).write(tenant_id, refused)

    return PostgresQuarantine(opened), write


def refused(tenant_id: TenantId, *, minutes: int = 0, **changes: Any) -> RefusedEvent:
    values: dict[str, Any] = {
        "quarantine_id": uuid.uuid4(),
        "tenant_id": tenant_id,
        "refused_at": NOW + timedelta(minutes=minutes),
        "size": 100,
        "reasons": [Reason("/event_metadata/timestamp", "a value (required)")],
        "sealed": b"\x00sealed",
        "event_type": "transaction",
        "subjects": [b"one"],
    }
    return RefusedEvent(**values | changes)


async def ids_of(store: QuarantineStore, tenant_id: TenantId, **selection: Any) -> list[UUID]:
    found = await store.page(tenant_id, Selection(**selection), states=STATES, after=None, limit=100)
    return [event.quarantine_id for event in found]


async def test_the_same_text_again_is_one_entry_seen_twice(
    quarantine: tuple[QuarantineStore, Write], tenant: TenantId
) -> None:
    store, write = quarantine
    first = refused(tenant)
    again = refused(tenant, minutes=5, quarantine_id=first.quarantine_id, sealed=b"newer")
    await write(tenant, [first, again])
    event = await store.get(tenant, first.quarantine_id)
    assert event is not None
    assert (event.state, event.seen, event.sealed) == (HeldState.HELD, 2, b"newer")
    assert (event.first_refused_at, event.last_refused_at) == (first.refused_at, again.refused_at)
    assert event.expires_at == again.refused_at + RETENTION
    assert event.reasons == first.reasons
    await write(tenant, [refused(tenant, minutes=-5, quarantine_id=first.quarantine_id)])
    late = await store.get(tenant, first.quarantine_id)
    assert late is not None
    assert (late.seen, late.last_refused_at) == (3, again.refused_at)


async def test_pages_are_newest_first_without_gap_or_repeat_and_without_texts(
    quarantine: tuple[QuarantineStore, Write], tenant: TenantId
) -> None:
    store, write = quarantine
    # Three at the very same moment: the id decides.
    events = [refused(tenant, minutes=minutes) for minutes in (0, 1, 1, 1, 2)]
    await write(tenant, events)
    after, found = None, []
    while page := await store.page(tenant, Selection(), states=HELD, after=after, limit=2):
        found += page
        after = (page[-1].last_refused_at, page[-1].quarantine_id)
    wanted = sorted(events, key=lambda event: (event.refused_at, event.quarantine_id), reverse=True)
    assert [event.quarantine_id for event in found] == [event.quarantine_id for event in wanted]
    assert {event.sealed for event in found} == {None}


async def test_a_selection_means_all_of_its_properties(
    quarantine: tuple[QuarantineStore, Write], tenant: TenantId
) -> None:
    store, write = quarantine
    place = refused(tenant, reasons=[Reason("/tenant_id", "a value"), Reason("/amount", "a number")])
    kind = refused(tenant, minutes=1, event_type="user_interaction")
    await write(tenant, [place, kind])
    assert await ids_of(store, tenant, pointer="/amount") == [place.quarantine_id]
    assert await ids_of(store, tenant, pointer="/amount", expected="a value") == []
    assert await ids_of(store, tenant, expected="a number") == [place.quarantine_id]
    assert await ids_of(store, tenant, event_type="user_interaction") == [kind.quarantine_id]
    assert await ids_of(store, tenant, since=kind.refused_at) == [kind.quarantine_id]
    assert await ids_of(store, tenant, until=kind.refused_at) == [place.quarantine_id]
    assert await ids_of(store, tenant, quarantine_ids=[kind.quarantine_id, uuid.uuid4()]) == [kind.quarantine_id]
    assert await ids_of(store, tenant, quarantine_ids=[]) == []
    held = await store.held(tenant, Selection(since=NOW), limit=10)
    assert [(event.quarantine_id, event.sealed) for event in held] == [
        (place.quarantine_id, place.sealed),
        (kind.quarantine_id, kind.sealed),
    ]


async def test_what_is_settled_loses_its_text_and_is_held_again_when_it_is_refused_again(
    quarantine: tuple[QuarantineStore, Write], tenant: TenantId
) -> None:
    store, write = quarantine
    one, two = refused(tenant), refused(tenant)
    await write(tenant, [one, two])
    assert await store.settle(tenant, [one.quarantine_id, uuid.uuid4()], HeldState.REPLAYED) == 1
    assert await store.settle(tenant, [one.quarantine_id], HeldState.DISCARDED) == 0
    event = await store.get(tenant, one.quarantine_id)
    assert event is not None
    assert (event.state, event.sealed) == (HeldState.REPLAYED, None)
    assert [held.quarantine_id for held in await store.held(tenant, Selection(since=NOW), limit=10)] == [
        two.quarantine_id
    ]
    assert await store.usage(tenant, at_most=10) == (1, 100)
    await write(tenant, [one])
    assert await store.usage(tenant, at_most=10) == (2, 200)
    assert await store.usage(tenant, at_most=1) == (1, 100)


async def test_reasons_are_counted_with_every_repeat_the_most_frequent_first(
    quarantine: tuple[QuarantineStore, Write], tenant: TenantId
) -> None:
    store, write = quarantine
    often = refused(tenant, reasons=[Reason("/b", "x"), Reason("/c", "y")])
    await write(tenant, [refused(tenant, reasons=[Reason("/c", "y")]), often, often])
    totals = await store.reasons(tenant, limit=10)
    assert [(total.pointer, total.expected, total.entries, total.events) for total in totals] == [
        ("/c", "y", 2, 3),
        ("/b", "x", 1, 2),
    ]
    assert len(await store.reasons(tenant, limit=1)) == 1


async def test_a_persons_events_are_found_and_the_expired_deleted(
    quarantine: tuple[QuarantineStore, Write], tenant: TenantId
) -> None:
    store, write = quarantine
    hers, his = refused(tenant, subjects=[b"her", b"cookie"]), refused(tenant, minutes=60, subjects=[b"him"])
    await write(tenant, [hers, his])
    found = await store.of_subjects(tenant, [b"cookie", b"nobody"], limit=10)
    assert [event.quarantine_id for event in found] == [hers.quarantine_id]
    assert await store.of_subjects(tenant, [], limit=10) == []
    assert await store.forget(tenant, hers.refused_at + RETENTION, limit=10) == 0
    assert await store.forget(tenant, hers.refused_at + RETENTION + timedelta(seconds=1), limit=10) == 1
    assert await ids_of(store, tenant) == [his.quarantine_id]


async def test_a_tenant_sees_and_changes_its_own_only(
    quarantine: tuple[QuarantineStore, Write], tenant: TenantId
) -> None:
    store, write = quarantine
    other = TenantId(f"{tenant}-other")
    event = refused(tenant)
    await write(tenant, [event])
    assert await ids_of(store, other) == []
    assert await store.get(other, event.quarantine_id) is None
    assert await store.settle(other, [event.quarantine_id], HeldState.DISCARDED) == 0
    assert await store.forget(other, NOW + timedelta(days=999), limit=10) == 0
    assert await store.of_subjects(other, [b"one"], limit=10) == []
    assert await ids_of(store, tenant) == [event.quarantine_id]
