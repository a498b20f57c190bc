"""The archive on local files, its catalogue in SQLite: the same code as over PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import msgspec
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from weir_analytics.adapters import iceberg_archive
from weir_analytics.adapters.iceberg_archive import (
    SCHEMA,
    IcebergArchive,
    IcebergArchiveReader,
    _batch,
    open_catalogue,
    open_table,
)
from weir_analytics.domain.event import microseconds
from weir_analytics.errors import ArchiveBroken, ArchiveConflict, ArchiveFenced, ArchiveUnavailable
from weir_analytics.ports import ArchivedRecord
from weir_common.archive import NAMESPACE
from weir_common.ids import TenantId

NOON = microseconds(datetime(2026, 11, 25, 12, 0, tzinfo=UTC))
SECOND = 1_000_000


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[SqlCatalog]:
    opened = open_catalogue(f"sqlite:///{tmp_path}/catalogue.db", (tmp_path / "lake").as_uri())
    yield opened
    opened.engine.dispose()


OpenArchive = Callable[[], IcebergArchive]


@pytest.fixture
def open_archive(catalogue: SqlCatalog) -> OpenArchive:
    return lambda: IcebergArchive(open_table(catalogue, "events"), kept_snapshots=timedelta(0), expire_every_commits=4)


def records(*offsets: int, partition: int = 0, tenant: str = "t") -> list[ArchivedRecord]:
    return [
        ArchivedRecord(
            tenant_id=TenantId(tenant),
            event_id=f"{partition}-{offset}",
            event_type="transaction",
            event_subtype=None,
            subject=f"s{offset % 3}",
            event_at=NOON + offset if offset % 2 else None,
            accepted_at=NOON + offset * SECOND,
            schema_version="2.1",
            partition=partition,
            offset=offset,
            payload=f'{{"n":{offset},"text":"Ž"}}'.encode(),
            refused="analytics,tracking" if offset % 2 else None,
        )
        for offset in offsets
    ]


def archived(catalogue: SqlCatalog) -> list[tuple[str, int, int]]:
    rows = open_table(catalogue, "events").scan().to_arrow().to_pylist()
    return sorted((row["tenant_id"], row["partition"], row["offset"]) for row in rows)


def test_records_and_offsets_become_visible_together(catalogue: SqlCatalog, open_archive: OpenArchive) -> None:
    archive = open_archive()
    assert archive.state().next_offsets == {}
    archive.write(records(0, 1, 2))
    archive.write(records(3, tenant="u") + records(7, partition=5))
    assert archived(catalogue) == []
    archive.commit({0: 0, 5: 7}, {0: 4, 5: 8})
    assert archived(catalogue) == [("t", 0, 0), ("t", 0, 1), ("t", 0, 2), ("t", 5, 7), ("u", 0, 3)]
    state = open_archive().state()
    assert state.next_offsets == {0: 4, 5: 8}
    assert state.accepted_until == NOON + 7 * SECOND


def test_every_column_is_kept(catalogue: SqlCatalog, open_archive: OpenArchive) -> None:
    archive = open_archive()
    archive.write(records(1))
    archive.commit({0: 1}, {0: 2})
    (row,) = open_table(catalogue, "events").scan().to_arrow().to_pylist()
    assert row == {
        "tenant_id": "t",
        "event_id": "0-1",
        "event_type": "transaction",
        "event_subtype": None,
        "subject": "s1",
        "event_timestamp": datetime(2026, 11, 25, 12, 0, 0, 1, tzinfo=UTC),
        "accepted_at": datetime(2026, 11, 25, 12, 0, 1, tzinfo=UTC),
        "schema_version": "2.1",
        "partition": 0,
        "offset": 1,
        "payload": '{"n":1,"text":"Ž"}',
        "refused_consents": "analytics,tracking",
    }
    assert list(IcebergArchiveReader(catalogue).payloads("events", TenantId("t"))) == ['{"n":1,"text":"Ž"}'.encode()]
    assert list(IcebergArchiveReader(catalogue).payloads("events", TenantId("'; x"))) == []


def test_a_table_from_before_a_column_gets_it_in_place_and_its_old_files_read_as_null(
    catalogue: SqlCatalog, open_archive: OpenArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(iceberg_archive, "SCHEMA", SCHEMA.select(*SCHEMA.column_names[:-1]))
        before.setattr(
            iceberg_archive, "_batch", lambda several, schema: _batch(several, SCHEMA.as_arrow()).select(schema.names)
        )
        old = open_archive()
        old.write(records(1))
        old.commit({0: 1}, {0: 2})
        old.write(records(3))
    new = open_archive()
    new.state()
    new.write(records(5, 6))
    new.commit({0: 2}, {0: 7})
    with monkeypatch.context() as before:  # an instance of the version before goes on beside the new one
        before.setattr(iceberg_archive, "SCHEMA", SCHEMA.select(*SCHEMA.column_names[:-1]))
        before.setattr(
            iceberg_archive, "_batch", lambda several, schema: _batch(several, SCHEMA.as_arrow()).select(schema.names)
        )
        again = open_archive()
        again.write(records(9))
        again.commit({0: 7}, {0: 10})
    table = open_table(catalogue, "events")
    rows = {row["offset"]: row["refused_consents"] for row in table.scan().to_arrow().to_pylist()}
    assert rows == {1: None, 5: "analytics,tracking", 6: None, 9: None}
    usable = table.scan(row_filter="refused_consents is null or refused_consents not like 'analytics%'").to_arrow()
    assert sorted(usable["offset"].to_pylist()) == [1, 6, 9]


def test_two_processes_that_start_may_both_add_the_column(
    catalogue: SqlCatalog, open_archive: OpenArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(iceberg_archive, "SCHEMA", SCHEMA.select(*SCHEMA.column_names[:-1]))
        open_archive()
    stale = catalogue.load_table((NAMESPACE, "events"))
    open_archive()
    monkeypatch.setattr(catalogue, "create_table_if_not_exists", lambda *_, **__: stale)
    assert "refused_consents" in open_table(catalogue, "events").schema().column_names


def test_bytes_that_are_no_text_do_not_stop_the_archive(catalogue: SqlCatalog, open_archive: OpenArchive) -> None:
    good, bad = records(0, 1)
    archive = open_archive()
    archive.write([good, msgspec.structs.replace(bad, payload=b'{"a":"\xff\xfe"}')])
    archive.commit({0: 0}, {0: 2})
    rows = open_table(catalogue, "events").scan().to_arrow().to_pylist()
    assert {row["offset"]: row["payload"] for row in rows} == {0: '{"n":0,"text":"Ž"}', 1: '{"a":"\ufffd\ufffd"}'}


def test_a_process_that_dies_before_its_commit_changed_nothing(
    catalogue: SqlCatalog, open_archive: OpenArchive
) -> None:
    open_archive().write(records(0, 1))
    successor = open_archive()
    assert successor.state().next_offsets == {}
    successor.write(records(0, 1))
    successor.commit({0: 0}, {0: 2})
    assert archived(catalogue) == [("t", 0, 0), ("t", 0, 1)]


def test_a_commit_whose_answer_was_lost_is_not_done_twice(catalogue: SqlCatalog, open_archive: OpenArchive) -> None:
    archive = open_archive()
    archive.write(records(0))
    archive.commit({0: 0}, {0: 1})
    archive.write(records(1))
    closed = archive._closed
    archive.commit({0: 1}, {0: 2})
    archive.commit({0: 1}, {0: 2})
    assert closed == []
    assert archived(catalogue) == [("t", 0, 0), ("t", 0, 1)]


def test_a_stale_owner_is_fenced(catalogue: SqlCatalog, open_archive: OpenArchive) -> None:
    stale, owner = open_archive(), open_archive()
    for archive in (stale, owner):
        archive.state()
        archive.write(records(0, 1))
    owner.commit({0: 0}, {0: 2})
    owner.write(records(2))
    owner.commit({0: 2}, {0: 3})
    with pytest.raises(ArchiveFenced):
        stale.commit({0: 0}, {0: 2})
    stale.abandon()
    assert archived(catalogue) == [("t", 0, 0), ("t", 0, 1), ("t", 0, 2)]


def test_two_owners_of_different_partitions_commit_beside_each_other(
    catalogue: SqlCatalog, open_archive: OpenArchive
) -> None:
    one, two = open_archive(), open_archive()
    for offset in range(3):
        one.write(records(offset, partition=1))
        two.write(records(offset, partition=2))
        one.commit({1: offset}, {1: offset + 1})
        two.commit({2: offset}, {2: offset + 1})
    assert open_archive().state().next_offsets == {1: 3, 2: 3}
    assert len(archived(catalogue)) == 6


def test_a_conflict_is_told_and_the_next_attempt_succeeds(
    catalogue: SqlCatalog, open_archive: OpenArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = open_archive(), open_archive()
    one.write(records(0, partition=1))
    two.write(records(0, partition=2))
    two.state()
    refresh = one._table.refresh

    def refresh_then_lose_the_race() -> object:
        refreshed = refresh()
        monkeypatch.setattr(one._table, "refresh", refresh)
        two.commit({2: 0}, {2: 1})
        return refreshed

    monkeypatch.setattr(one._table, "refresh", refresh_then_lose_the_race)
    with pytest.raises(ArchiveConflict):
        one.commit({1: 0}, {1: 1})
    one.commit({1: 0}, {1: 1})
    assert archived(catalogue) == [("t", 1, 0), ("t", 2, 0)]


def test_an_outage_of_the_catalogue_is_transient_and_what_was_written_is_kept(
    catalogue: SqlCatalog, open_archive: OpenArchive, tmp_path: Path
) -> None:
    archive = open_archive()
    archive.write(records(0))
    path = tmp_path / "catalogue.db"
    path.rename(tmp_path / "away.db")
    path.mkdir()  # so that it cannot be opened
    catalogue.engine.dispose()
    for call in (archive.state, lambda: archive.commit({0: 0}, {0: 1})):
        with pytest.raises(ArchiveUnavailable):
            call()
    path.rmdir()
    (tmp_path / "away.db").rename(path)
    archive.commit({0: 0}, {0: 1})
    assert archived(catalogue) == [("t", 0, 0)]


def test_recent_ids_are_those_of_our_partitions_since_then(open_archive: OpenArchive) -> None:
    archive = open_archive()
    assert list(archive.recent_ids({0}, 0)) == []
    archive.write(records(0, 100, 200) + records(150, partition=1))
    archive.commit({0: 0, 1: 0}, {0: 201, 1: 151})
    assert sorted(archive.recent_ids({0}, NOON + 100 * SECOND)) == [("t", "0-100"), ("t", "0-200")]
    assert sorted(archive.recent_ids({0, 1}, NOON + 101 * SECOND)) == [("t", "0-200"), ("t", "1-150")]
    assert list(archive.recent_ids(set(), 0)) == []


def test_committed_records_are_counted_by_tenant_and_minute_within_ranges_of_offsets(open_archive: OpenArchive) -> None:
    archive = open_archive()
    assert archive.count({0: (0, 9)}, 0) == {}
    archive.write(records(0, 30, 59, 60) + records(61, tenant="u") + records(30, 31, partition=1))
    archive.commit({0: 0, 1: 0}, {0: 62, 1: 32})
    archive.write(records(70))
    assert archive.count({0: (0, 100), 1: (0, 31)}, 0) == {
        ("t", "2026-11-25T12:00"): 4,
        ("t", "2026-11-25T12:01"): 1,
        ("u", "2026-11-25T12:01"): 1,
    }
    assert archive.count({0: (59, 61)}, 0) == {("t", "2026-11-25T12:00"): 1, ("t", "2026-11-25T12:01"): 1}
    assert archive.count({0: (0, 100)}, NOON + 61 * SECOND) == {("u", "2026-11-25T12:01"): 1}
    assert archive.count({}, 0) == archive.count({7: (0, 100)}, 0) == {}
    archive.abandon()


def test_metadata_stay_bounded_and_nothing_is_lost(
    tmp_path: Path, catalogue: SqlCatalog, open_archive: OpenArchive
) -> None:
    archive = open_archive()
    counts = []
    for offset in range(60):
        archive.write(records(offset))
        archive.commit({0: offset}, {0: offset + 1})
        if offset % 20 == 19:
            counts.append(len(list((tmp_path / "lake").rglob("metadata/*"))))
    assert len(archived(catalogue)) == 60
    assert open_archive().state().next_offsets == {0: 60}
    # 11 metadata files, at most 4 snapshots with their lists, and the manifests of the last merge.
    assert max(counts) < 80
    assert counts[-1] <= counts[0] + 15
    assert len(list((tmp_path / "lake").rglob("*.parquet"))) == 60


def test_what_was_given_up_leaves_no_file(tmp_path: Path, open_archive: OpenArchive) -> None:
    archive = open_archive()
    archive.write(records(0))
    archive.abandon()
    assert list((tmp_path / "lake").rglob("*.parquet")) == []


def test_offsets_survive_a_snapshot_of_another_engine(catalogue: SqlCatalog, open_archive: OpenArchive) -> None:
    archive = open_archive()
    archive.write(records(0))
    archive.commit({0: 0}, {0: 1})
    table = open_table(catalogue, "events")
    table.append(table.scan().to_arrow().slice(0, 0))
    assert open_archive().state().next_offsets == {0: 1}


def test_duckdb_reads_the_table_too(tmp_path: Path, catalogue: SqlCatalog, open_archive: OpenArchive) -> None:
    archive = open_archive()
    archive.write(records(*range(20)))
    archive.commit({0: 0}, {0: 20})
    files = [
        task.file.file_path.removeprefix("file://") for task in open_table(catalogue, "events").scan().plan_files()
    ]
    with duckdb.connect() as connection:
        (row,) = connection.execute(
            "SELECT count(*), sum(CAST(json_extract(payload, '$.n') AS INTEGER)) FROM read_parquet(?)", [files]
        ).fetchall()
    assert row == (20, 190)


def test_errors_say_what_to_do() -> None:
    assert [
        error.__mro__[1].__name__ for error in (ArchiveUnavailable, ArchiveConflict, ArchiveFenced, ArchiveBroken)
    ] == [
        "RetryError",
        "RetryError",
        "RetryError",
        "StopError",
    ]
