"""The door's entries: every fate once, whatever Kafka does."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import msgspec
import pytest
from weir_common.errors import RetryError
from weir_common.ids import TenantId
from weir_common.kafka.records import OutgoingRecord, Position
from weir_common.kafka.topics import LEDGER
from weir_common.ledger import AtTheDoor
from weir_ingest.ledger_book import LedgerBook

A, B = TenantId("a"), TenantId("b")


class Log:
    def __init__(self) -> None:
        self.away = False
        self.sent: list[OutgoingRecord] = []

    async def publish_all(self, records: Sequence[OutgoingRecord], *, timeout: float | None = None) -> list[Position]:
        self.sent += records  # what an unanswered request may have written
        if self.away:
            raise RetryError("away")
        return [Position(record.topic, 0, 0) for record in records]

    def entries(self) -> dict[tuple[str, str], Counter[str]]:
        """By tenant and minute, repeats dropped by their id as every reader does."""
        sums: dict[tuple[str, str], Counter[str]] = {}
        for record in {record.headers["weir-event-id"]: record for record in self.sent}.values():
            entry = msgspec.json.decode(record.value or b"", type=AtTheDoor)
            assert entry.received == sum(entry.fates.values())
            assert (record.topic, record.headers["weir-tenant"].decode()) == (LEDGER, entry.tenant_id)
            sums.setdefault((entry.tenant_id, entry.minute), Counter()).update(entry.fates)
        return sums


@pytest.fixture
def log() -> Log:
    return Log()


async def test_counts_of_one_minute_are_one_entry(log: Log) -> None:
    book = LedgerBook(log)
    for _ in range(3):
        book.count(A, "2026-11-25T10:30", {"accepted": 2, "invalid": 1})
    book.count(B, "2026-11-25T10:31", {"duplicate": 1})
    assert await book.flush()
    assert await book.flush()
    assert len(log.sent) == 2
    assert log.entries() == {
        ("a", "2026-11-25T10:30"): Counter(accepted=6, invalid=3),
        ("b", "2026-11-25T10:31"): Counter(duplicate=1),
    }


async def test_what_kafka_does_not_take_is_sent_again_and_counts_once(log: Log) -> None:
    book = LedgerBook(log)
    log.away = True
    book.count(A, "2026-11-25T10:30", {"accepted": 2})
    assert not await book.flush()
    book.count(A, "2026-11-25T10:30", {"accepted": 3})
    assert not await book.flush()
    log.away = False
    assert await book.flush()
    assert await book.flush()
    assert log.entries() == {("a", "2026-11-25T10:30"): Counter(accepted=5)}


async def test_the_last_counts_are_entered_before_the_end(log: Log) -> None:
    book, stop = LedgerBook(log), asyncio.Event()
    running = asyncio.create_task(book.run(stop))
    await asyncio.sleep(0)
    book.count(A, "2026-11-25T10:30", {"accepted": 1})
    stop.set()
    async with asyncio.timeout(1):
        await running
    assert log.entries() == {("a", "2026-11-25T10:30"): Counter(accepted=1)}
