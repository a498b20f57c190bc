"""The door of the quarantine: sealed, the same text under the same id, and no more than there is room for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
from weir_common.errors import RetryError, StopError
from weir_common.ids import TenantId
from weir_common.kafka.records import OutgoingRecord, Position
from weir_ingest.adapters.memory_quarantine import MemoryQuarantine
from weir_ingest.adapters.quarantine_seal import QuarantineSeal
from weir_ingest.domain.quarantine import Reason, Refusal, RefusedEvent
from weir_ingest.keep_refused import KeepRefused, QuarantineRoom
from weir_ingest.settings import QuarantineLimits

A, B = TenantId("a"), TenantId("b")
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
SECRET = b"ada@example.com"
REFUSAL = Refusal(b'{"email":"ada@example.com"}', (Reason("/tenant_id", "a value"),), subjects=("ada@example.com",))


class MemoryLog:
    """A log that may be away."""

    def __init__(self) -> None:
        self.records: list[OutgoingRecord] = []
        self.away = False

    async def try_publish_all(
        self, records: Sequence[OutgoingRecord], *, timeout: float | None = None
    ) -> list[Position | RetryError]:
        if self.away:
            return [RetryError("away") for _ in records]
        self.records += records
        return [Position(record.topic, 0, 0) for record in records]


class Door:
    def __init__(self, limits: QuarantineLimits | None = None) -> None:
        limits = limits or QuarantineLimits()
        self.log, self.store, self.seal = MemoryLog(), MemoryQuarantine(), QuarantineSeal(os.urandom(32))
        self.room = QuarantineRoom(self.store, limits)
        self.keep = KeepRefused(self.log, self.seal, self.room, limits).keep

    def written(self) -> list[RefusedEvent]:
        return [msgspec.json.decode(record.value or b"", type=RefusedEvent) for record in self.log.records]


async def test_the_same_text_of_a_tenant_has_one_id_and_each_sighting_a_record() -> None:
    door = Door()
    first, second = await door.keep(A, [REFUSAL, REFUSAL], NOW)
    (other,) = await door.keep(B, [REFUSAL], NOW)
    assert first == second != other
    headers = [record.headers["weir-event-id"] for record in door.log.records]
    assert len(set(headers)) == 3
    assert [record.headers["weir-tenant"] for record in door.log.records] == [b"a", b"a", b"b"]


async def test_nothing_of_the_event_is_in_the_open() -> None:
    door = Door()
    await door.keep(A, [REFUSAL], NOW)
    (record,) = door.log.records
    assert SECRET not in (record.value or b"") + record.key + b"".join(record.headers.values())
    (refused,) = door.written()
    assert SECRET not in refused.sealed + b"".join(refused.subjects)
    assert refused.subjects == [door.seal.index(A, "ada@example.com")] != [door.seal.index(B, "ada@example.com")]
    assert door.seal.open(A, refused.quarantine_id, refused.sealed) == REFUSAL.text


async def test_a_sealed_text_opens_for_its_tenant_and_entry_only() -> None:
    door = Door()
    await door.keep(A, [REFUSAL], NOW)
    (refused,) = door.written()
    changed = refused.sealed[:-1] + bytes([refused.sealed[-1] ^ 1])
    for tenant_id, quarantine_id, sealed in (
        (B, refused.quarantine_id, refused.sealed),
        (A, UUID(int=1), refused.sealed),
        (A, refused.quarantine_id, changed),
        (A, refused.quarantine_id, b""),
    ):
        with pytest.raises(StopError):
            door.seal.open(tenant_id, quarantine_id, sealed)
    with pytest.raises(StopError):
        QuarantineSeal(bytes(32)).open(A, refused.quarantine_id, refused.sealed)
    assert "Seal(…)" in repr(door.seal)


async def test_what_the_log_does_not_take_is_its_senders_to_mend() -> None:
    door = Door()
    door.log.away = True
    assert await door.keep(A, [REFUSAL], NOW) == [None]


@pytest.mark.parametrize("limits", [QuarantineLimits(max_events=1), QuarantineLimits(max_bytes=1)])
async def test_a_full_quarantine_takes_no_more_until_there_is_room_again(limits: QuarantineLimits) -> None:
    door = Door(limits)
    (quarantine_id,) = await door.keep(A, [REFUSAL], NOW)
    assert quarantine_id is not None
    await door.store.write(A, door.written())
    await door.room.look()
    assert await door.keep(A, [REFUSAL], NOW) == [None]
    assert await door.keep(B, [REFUSAL], NOW) != [None], "another tenant has room of its own"
    await door.store.forget(A, datetime(2027, 1, 1, tzinfo=UTC), limit=10)
    await door.room.look()
    assert await door.keep(A, [REFUSAL], NOW) == [quarantine_id]
