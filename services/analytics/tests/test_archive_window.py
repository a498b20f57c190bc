"""The archive's duplicate window is read once, in a thread, and not again for each time that the partitions come back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from weir_analytics.archive_log import ArchiveLog
from weir_analytics.domain.facts import Microseconds
from weir_analytics.errors import ArchiveConflict
from weir_analytics.ports import ArchivedRecord, ArchiveState
from weir_common.kafka.records import ACCEPTED_AT_HEADER, EVENT_ID_HEADER, TENANT_HEADER
from weir_common.settings import KafkaSettings

NOON = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
IMPORTED = 2_000
TOPIC = "events"


class MemoryArchive:
    """One table in memory; it counts the ids that are read of it, and by which threads."""

    def __init__(self) -> None:
        self.committed: list[ArchivedRecord] = []
        self.offsets: dict[int, int] = {}
        self.written: list[ArchivedRecord] = []
        self.ids_read = 0
        self.readers: set[int] = set()
        self.is_away = False

    def state(self) -> ArchiveState:
        until = max((one.accepted_at for one in self.committed), default=None)
        return ArchiveState(dict(self.offsets), until)

    def recent_ids(self, partitions: Collection[int], since: Microseconds) -> Iterator[tuple[str, str]]:
        for one in self.committed:
            if one.partition in partitions and one.accepted_at >= since:
                self.ids_read += 1
                self.readers.add(threading.get_ident())
                yield one.tenant_id, one.event_id

    def count(self, ranges: Mapping[int, tuple[int, int]], since: Microseconds) -> Mapping[Any, int]:
        return {}

    def write(self, records: Sequence[ArchivedRecord]) -> None:
        self.written += records

    def commit(self, base: Mapping[int, int], next_offsets: Mapping[int, int]) -> None:
        if self.is_away:
            raise ArchiveConflict("another was first")
        self.committed += self.written
        self.written = []
        self.offsets |= next_offsets

    def abandon(self) -> None:
        self.written = []


class Group:
    """As much of a consumer as an assignment needs."""

    def __init__(self) -> None:
        self.position: dict[int, int] = {}

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    def seek(self, where: TopicPartition, position: int) -> None:
        self.position[where.partition] = position


class Stand:
    def __init__(self) -> None:
        self.archive, self.group = MemoryArchive(), Group()
        self.log = ArchiveLog(
            topic=TOPIC,
            table="events",
            archive=self.archive,
            time_of=lambda _: None,
            kafka=KafkaSettings(bootstrap_servers="nowhere:1"),
            commit_seconds=3_600,
            max_buffered_bytes=1_000_000,
        )
        self.log._consumer = self.group

    async def assign(self, *partitions: int) -> None:
        await self.log.on_partitions_assigned({TopicPartition(TOPIC, partition) for partition in partitions})
        assert self.log._failure is None

    async def revoke(self, *partitions: int) -> None:
        await self.log.on_partitions_revoked({TopicPartition(TOPIC, partition) for partition in partitions})

    async def take(self, partition: int, *ids: str) -> None:
        """The next records of a partition."""
        first = self.log._pending.next_offsets[partition]
        messages = [message(partition, first + place, id_) for place, id_ in enumerate(ids)]
        self.log._take({TopicPartition(TOPIC, partition): messages})

    @property
    def ids(self) -> list[str]:
        return [one.event_id for one in self.archive.committed]


def message(partition: int, offset: int, event_id: str) -> Any:
    headers = [(TENANT_HEADER, b"shop"), (EVENT_ID_HEADER, event_id.encode()), (ACCEPTED_AT_HEADER, NOON.isoformat().encode())]  # fmt: skip
    return SimpleNamespace(
        headers=headers, key=b"shop\0ann", value=b"{}", timestamp=0, partition=partition, offset=offset
    )


@pytest.fixture
async def stand() -> Stand:
    """An import of which all lies in the window."""
    stand = Stand()
    await stand.assign(0, 1)
    for partition in (0, 1):
        await stand.take(partition, *(f"{partition}-{number}" for number in range(IMPORTED // 2)))
    await stand.revoke(0, 1)
    assert len(stand.ids) == IMPORTED
    return stand


def restarted(stand: Stand) -> Stand:
    again = Stand()
    again.archive.committed, again.archive.offsets = list(stand.archive.committed), dict(stand.archive.offsets)
    return again


async def test_a_start_reads_the_window_once_and_not_on_the_event_loop(stand: Stand) -> None:
    stand = restarted(stand)
    await stand.assign(0, 1)
    assert stand.archive.ids_read == IMPORTED
    assert threading.get_ident() not in stand.archive.readers
    await stand.take(0, "0-7", "new")
    await stand.revoke(0, 1)
    assert stand.ids[IMPORTED:] == ["new"], "what the table has is a repeat"


async def test_partitions_that_come_back_cost_no_reading(stand: Stand) -> None:
    """A process that is busy is put out of the group now and then; did it read a million ids each time it would never be done."""
    for round_ in range(5):
        await stand.assign(0, 1)
        await stand.take(0, "0-7", f"new {round_}", f"new {round_ - 1}")
        await stand.revoke(0, 1)
    assert stand.archive.ids_read == 0
    assert stand.ids[IMPORTED:] == ["new 0", "new -1", "new 1", "new 2", "new 3", "new 4"]
    assert stand.group.position == {0: stand.archive.offsets[0] - 3, 1: IMPORTED // 2}


async def test_only_what_another_owner_archived_is_read(stand: Stand) -> None:
    await stand.assign(0)
    other = restarted(stand)
    await other.assign(1)
    await other.take(1, "theirs")
    await other.revoke(1)
    stand.archive.committed, stand.archive.offsets = other.archive.committed, other.archive.offsets
    await stand.revoke(0)
    await stand.assign(0, 1)
    assert stand.archive.ids_read == IMPORTED // 2 + 1, "those of partition 1"
    await stand.take(1, "theirs", "ours")
    await stand.revoke(0, 1)
    assert stand.ids[IMPORTED:] == ["theirs", "ours"]


async def test_what_was_not_committed_is_taken_again_and_is_no_repeat(stand: Stand) -> None:
    await stand.assign(0, 1)
    await stand.take(0, "lost")
    stand.archive.is_away = True
    await stand.revoke(0, 1)
    stand.archive.is_away = False
    await stand.assign(0, 1)
    assert stand.archive.ids_read == IMPORTED, "nothing is known any more of what the ids stand for"
    await stand.take(0, "lost", "0-3")
    await stand.revoke(0, 1)
    assert stand.ids[IMPORTED:] == ["lost"]


async def test_the_loop_turns_while_the_window_is_read(stand: Stand) -> None:
    stand = restarted(stand)
    turned = asyncio.Event()
    ids = stand.archive.recent_ids

    def slow(partitions: Collection[int], since: Microseconds) -> Iterator[tuple[str, str]]:
        yield from ids(partitions, since)
        asyncio.run_coroutine_threadsafe(turn(), loop).result(timeout=5)

    async def turn() -> None:
        turned.set()

    loop = asyncio.get_running_loop()
    stand.archive.recent_ids = slow  # type: ignore[method-assign]
    await stand.assign(0, 1)
    assert turned.is_set()
