"""The ledger hears of every committed record once, whoever dies where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from weir_analytics.domain.event import microseconds
from weir_analytics.domain.facts import Microseconds
from weir_analytics.enter_archived import KEPT, UNKNOWN_TENANT, ArchiveTally, EnterArchived
from weir_analytics.ports import ArchivedRecord, ArchiveState, minute_text
from weir_common.errors import RetryError
from weir_common.ids import TenantId
from weir_common.kafka.records import OutgoingRecord
from weir_common.ledger import ByConsumer

NOW = datetime.now(UTC).replace(second=0, microsecond=0)
TENANTS = (TenantId("a"), TenantId("b"), UNKNOWN_TENANT)


def record(partition: int, offset: int, *, age: timedelta = timedelta(0)) -> ArchivedRecord:
    at = microseconds(NOW - age) + offset * 20_000_000
    tenant = TENANTS[(offset + partition) % 3]
    return ArchivedRecord(tenant, f"{partition}-{offset}", None, None, None, None, at, None, partition, offset, b"")


class MemoryArchive:
    """What is committed."""

    def __init__(self) -> None:
        self.records: list[ArchivedRecord] = []

    def count(self, ranges: Mapping[int, tuple[int, int]], since: Microseconds) -> Mapping[tuple[TenantId, str], int]:
        return Counter(
            (one.tenant_id, minute_text(one.accepted_at))
            for one in self.records
            if one.partition in ranges
            and ranges[one.partition][0] <= one.offset < ranges[one.partition][1]
            and one.accepted_at >= since
        )

    def state(self) -> ArchiveState:
        raise NotImplementedError

    def recent_ids(self, partitions: Collection[int], since: Microseconds) -> Sequence[tuple[str, str]]:
        raise NotImplementedError

    def write(self, records: Sequence[ArchivedRecord]) -> None:
        raise NotImplementedError

    def commit(self, base: Mapping[int, int], next_offsets: Mapping[int, int]) -> None:
        raise NotImplementedError

    def abandon(self) -> None:
        raise NotImplementedError


class MemoryEntries:
    """``fail``: the store is away. ``lose_answer``: what was asked is done, and the answer is lost."""

    def __init__(self) -> None:
        self.at: dict[int, int] = {}
        self.sent: list[OutgoingRecord] = []
        self.fail = False
        self.lose_answer = False

    async def entered(self, partitions: Collection[int]) -> Mapping[int, int]:
        if self.fail:
            raise RetryError("away")
        return {partition: self.at.get(partition, 0) for partition in partitions}

    async def enter(self, ranges: Mapping[int, tuple[int, int]], records: Sequence[OutgoingRecord]) -> bool:
        if self.fail:
            raise RetryError("away")
        if any(self.at.get(partition, 0) != first for partition, (first, _) in ranges.items()):
            return False
        self.at |= {partition: end for partition, (_, end) in ranges.items()}
        self.sent += records
        if self.lose_answer:
            raise RetryError("no answer")
        return True

    def sums(self) -> Counter[tuple[str, str]]:
        """(tenant, minute) → applied."""
        sums: Counter[tuple[str, str]] = Counter()
        for one in self.sent:
            entry = msgspec.json.decode(one.value or b"", type=ByConsumer)
            assert entry.consumer == "analytics.lake.events"
            for row in entry.rows:
                sums[row.tenant_id, row.minute] += row.applied
        return sums


def tally(records: Sequence[ArchivedRecord], repeats: Sequence[ArchivedRecord] = ()) -> ArchiveTally:
    counted = ArchiveTally()
    counted.add(records, repeats)
    return counted


def expected(archive: MemoryArchive) -> Counter[tuple[str, str]]:
    return Counter(
        (one.tenant_id, minute_text(one.accepted_at)) for one in archive.records if one.tenant_id != UNKNOWN_TENANT
    )


STEPS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 2]),
        st.integers(1, 4),
        st.sampled_from(["told", "told", "died before", "store away", "answer lost", "not told"]),
    ),
    max_size=20,
)


@given(STEPS)
async def test_whatever_fails_between_commit_and_entry_each_committed_record_is_counted_once(
    steps: list[tuple[int, int, str]],
) -> None:
    archive, entries = MemoryArchive(), MemoryEntries()
    ends = dict.fromkeys(range(3), 0)
    enter = EnterArchived("analytics.lake.events", archive, entries)
    for partition, size, fate in steps:
        first, end = ends[partition], ends[partition] + size
        records = [record(partition, offset) for offset in range(first, end)]
        if fate == "died before":  # of the commit: nothing of it counts, and its successor reads it again
            continue
        archive.records += records
        ends[partition] = end
        if fate == "not told":
            continue
        entries.fail, entries.lose_answer = fate == "store away", fate == "answer lost"
        try:
            await enter.committed({partition: (first, end)}, tally(records).counts)
        except RetryError:
            assert fate != "told"
        entries.fail = entries.lose_answer = False
        assert not entries.sums() - expected(archive), "never more than is committed"
    await enter.catch_up(ends)
    assert entries.sums() == expected(archive)
    before = len(entries.sent)
    await enter.catch_up(ends)
    await EnterArchived("analytics.lake.events", archive, entries).catch_up(ends)
    assert len(entries.sent) == before


async def test_two_that_count_the_same_records_enter_them_once() -> None:
    archive, entries = MemoryArchive(), MemoryEntries()
    archive.records = [record(0, offset) for offset in range(6)]
    for enter in (EnterArchived("analytics.lake.events", archive, entries) for _ in range(2)):
        await enter.committed({0: (0, 6)}, tally(archive.records).counts)
    assert entries.sums() == expected(archive)


async def test_repeats_are_told_apart_and_records_of_nobody_are_in_nobodys_books() -> None:
    archive, entries = MemoryArchive(), MemoryEntries()
    archive.records = [record(0, offset) for offset in range(3)]
    enter = EnterArchived("analytics.lake.events", archive, entries)
    await enter.committed({0: (0, 4)}, tally(archive.records, [record(0, 0)]).counts)
    (sent,) = entries.sent
    rows = {row.tenant_id: row for row in msgspec.json.decode(sent.value or b"", type=ByConsumer).rows}
    assert {name: (row.applied, row.duplicates, row.quarantined) for name, row in rows.items()} == {
        "a": (1, 1, 0),
        "b": (1, 0, 0),
    }


async def test_what_the_ledger_has_forgotten_is_not_entered_again_but_passed() -> None:
    archive, entries = MemoryArchive(), MemoryEntries()
    archive.records = [record(0, 0, age=KEPT + timedelta(days=1)), record(0, 3)]
    await EnterArchived("analytics.lake.events", archive, entries).catch_up({0: 4})
    assert entries.sums() == {("a", minute_text(archive.records[1].accepted_at)): 1}
    assert entries.at == {0: 4}


async def test_many_minutes_are_several_entries() -> None:
    counts = {("a", f"minute {number}"): (1, 0, 0) for number in range(4_500)}
    entries = MemoryEntries()
    await EnterArchived("analytics.lake.events", MemoryArchive(), entries).committed({0: (0, 4_500)}, counts)
    assert [len(msgspec.json.decode(one.value or b"")["rows"]) for one in entries.sent] == [2_000, 2_000, 500]
    assert max(len(one.value or b"") for one in entries.sent) < 200_000


async def test_nothing_committed_is_nothing_entered() -> None:
    entries = MemoryEntries()
    entries.fail = True
    await EnterArchived("analytics.lake.events", MemoryArchive(), entries).committed({0: (7, 7)}, {})


async def test_an_outage_is_told() -> None:
    entries = MemoryEntries()
    entries.fail = True
    enter = EnterArchived("analytics.lake.events", MemoryArchive(), entries)
    with pytest.raises(RetryError):
        await enter.committed({0: (0, 1)}, {("a", "m"): (1, 0, 0)})
