"""What a snapshot's summary says of the log is read as it was written, also under commits of others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from weir_common.archive import OffsetsNotKept, Reached, how_far, reached_by, summary_of

AT = datetime(2026, 11, 30, 12, 0, 0, 1, UTC)


@dataclass
class Written:
    additional_properties: Mapping[str, str]


@dataclass
class Made:
    parent_snapshot_id: int | None
    summary: Written | None


@dataclass
class Table:
    """Snapshots by number, the newest last."""

    snapshots: dict[int, Made] = field(default_factory=dict)

    def add(self, properties: Mapping[str, str] | None) -> None:
        number = len(self.snapshots) + 1
        self.snapshots[number] = Made(number - 1 or None, None if properties is None else Written(properties))

    def current_snapshot(self) -> Made | None:
        return self.snapshots[max(self.snapshots)] if self.snapshots else None

    def snapshot_by_id(self, snapshot_id: int) -> Made | None:
        return self.snapshots.get(snapshot_id)


@pytest.mark.parametrize("reached", [Reached({0: 5, 11: 2**40}, AT), Reached({3: 0}, None)])
def test_what_is_written_is_read(reached: Reached) -> None:
    assert reached_by(summary_of(reached)) == reached


def test_the_names_are_those_of_the_tables_that_exist() -> None:
    """Changing them would make every archive unreadable."""
    assert summary_of(Reached({1: 7}, AT)) == {
        "weir.next-offset.1": "7",
        "weir.accepted-until": "2026-11-30T12:00:00.000001+00:00",
    }


def test_commits_of_others_change_nothing() -> None:
    table = Table()
    assert how_far(table) is None
    table.add({"operation": "replace"})
    assert how_far(table) is None
    table.add(summary_of(Reached({0: 5}, AT)))
    table.add({"total-records": "5"})
    table.add(None)
    assert how_far(table) == Reached({0: 5}, AT)
    table.add(summary_of(Reached({0: 6}, AT)))
    assert how_far(table) == Reached({0: 6}, AT)


def test_that_nobody_knows_is_told_apart_from_an_empty_table() -> None:
    table = Table()
    table.add(summary_of(Reached({0: 5}, AT)))
    table.add({"operation": "replace"})
    del table.snapshots[1]
    with pytest.raises(OffsetsNotKept, match="snapshot 1"):
        how_far(table)
