from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping

import pytest
from weir_analytics.adapters.lake_positions import LakePositions
from weir_analytics.errors import ArchiveUnavailable

CONSUMER = "analytics.lake.events"


class Table:
    """Answers when it is let."""

    def __init__(self) -> None:
        self.offsets: dict[int, int] = {}
        self.error: Exception | None = None
        self.answers = threading.Event()
        self.answers.set()
        self.readings = 0

    def read(self) -> Mapping[int, int]:
        self.readings += 1
        assert self.answers.wait(10)
        if self.error is not None:
            raise self.error
        return dict(self.offsets)


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def positions(table: Table, monkeypatch: pytest.MonkeyPatch) -> LakePositions:
    monkeypatch.setattr("weir_analytics.adapters.lake_positions.FRESH_SECONDS", 0.0)
    monkeypatch.setattr("weir_analytics.adapters.lake_positions.PATIENCE_SECONDS", 0.05)
    return LakePositions("events", "commerce.events", table.read)


async def test_another_topic_is_not_ours(positions: LakePositions, table: Table) -> None:
    assert await positions.next_offsets("commerce.decisions", 0) == {}
    assert table.readings == 0


async def test_the_table_is_read_anew_for_whoever_asks_later(positions: LakePositions, table: Table) -> None:
    table.offsets = {3: 7}
    assert await positions.next_offsets("commerce.events", 3) == {CONSUMER: 7}
    assert await positions.next_offsets("commerce.events", 4) == {CONSUMER: 0}
    table.offsets = {3: 9}
    assert await positions.next_offsets("commerce.events", 3) == {CONSUMER: 9}


async def test_a_slow_table_holds_nobody_up_once_it_was_read(positions: LakePositions, table: Table) -> None:
    table.offsets = {3: 7}
    await positions.next_offsets("commerce.events", 3)
    table.answers.clear()
    table.offsets = {3: 9}
    asked = [positions.next_offsets("commerce.events", 3) for _ in range(20)]
    async with asyncio.timeout(1):
        assert await asyncio.gather(*asked) == [{CONSUMER: 7}] * 20
    assert table.readings == 2, "one reading for all who ask"
    table.answers.set()
    async with asyncio.timeout(5):
        while await positions.next_offsets("commerce.events", 3) != {CONSUMER: 9}:
            await asyncio.sleep(0.01)


async def test_the_first_reading_is_waited_for(positions: LakePositions, table: Table) -> None:
    table.offsets = {3: 7}
    table.answers.clear()
    asked = asyncio.create_task(positions.next_offsets("commerce.events", 3))
    await asyncio.sleep(0.2)
    assert not asked.done()
    table.answers.set()
    assert await asked == {CONSUMER: 7}


async def test_a_table_that_cannot_be_read_is_told(positions: LakePositions, table: Table) -> None:
    table.error = ArchiveUnavailable("the catalogue of the archive does not answer")
    with pytest.raises(ArchiveUnavailable):
        await positions.next_offsets("commerce.events", 3)
    table.error = None
    table.offsets = {3: 7}
    assert await positions.next_offsets("commerce.events", 3) == {CONSUMER: 7}
