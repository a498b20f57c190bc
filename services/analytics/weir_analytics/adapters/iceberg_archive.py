"""The archive as an Iceberg table: local files or any object store, the catalogue in PostgreSQL.

Records of one tenant and day of acceptance go into one Parquet file, row group by row group, so that memory is bounded whatever the
interval of commits. A commit adds the files with the offsets behind them in the snapshot's summary: both or neither.
Partitioned by the day of *acceptance*: event times are chosen by senders, and one file for every day that anybody sends would let one
tenant make thousands. Files still carry the range of event times, by which readers skip them.
"""

from __future__ import annotations

import contextlib
import itertools
import uuid
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import structlog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException, NamespaceAlreadyExistsError, TableAlreadyExistsError
from pyiceberg.expressions import And, BooleanExpression, EqualTo, GreaterThanOrEqual, In
from pyiceberg.io.pyarrow import (
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionField, PartitionFieldValue, PartitionKey, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.transforms import DayTransform, IdentityTransform
from pyiceberg.types import IntegerType, LongType, NestedField, StringType, TimestamptzType
from sqlalchemy.exc import DBAPIError
from weir_common.archive import NAMESPACE, OffsetsNotKept, Reached, how_far, summary_of
from weir_common.ids import TenantId

from weir_analytics.domain.event import microseconds, moment
from weir_analytics.domain.facts import MICROSECONDS, Microseconds
from weir_analytics.errors import ArchiveBroken, ArchiveConflict, ArchiveFenced, ArchiveUnavailable
from weir_analytics.ports import MINUTE, ArchivedRecord, ArchiveState, minute_text

log = structlog.get_logger(__name__)

SCHEMA: Final = Schema(
    NestedField(1, "tenant_id", StringType(), required=True),
    NestedField(2, "event_id", StringType(), required=True),
    NestedField(3, "event_type", StringType(), required=False),
    NestedField(4, "event_subtype", StringType(), required=False),
    NestedField(5, "subject", StringType(), required=False),
    NestedField(6, "event_timestamp", TimestamptzType(), required=False),
    NestedField(7, "accepted_at", TimestamptzType(), required=True),
    NestedField(8, "schema_version", StringType(), required=False),
    NestedField(9, "partition", IntegerType(), required=True),
    NestedField(10, "offset", LongType(), required=True),
    NestedField(11, "payload", StringType(), required=True),
    NestedField(
        12,
        "refused_consents",
        StringType(),
        required=False,
        doc="what the subject refused, e.g. analytics,tracking: not to be used for what asks for it; null for nothing, and in files older than the column",
    ),
)
"""New columns go to the end, optional: `open_table` adds them to a table that lacks them, and old files read as null."""
PARTITIONS: Final = PartitionSpec(
    PartitionField(source_id=1, field_id=1000, transform=IdentityTransform(), name="tenant_id"),
    PartitionField(source_id=7, field_id=1001, transform=DayTransform(), name="accepted_day"),
)
PROPERTIES: Final = {
    # pyiceberg would put a lost commit on top of the winner's: without looking whether the winner wrote our records.
    "commit.retry.num-retries": "0",
    # Metadata files hold the whole list of snapshots, so old ones are worth nothing.
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "10",
    # A commit adds one small manifest; without merging every scan would open thousands.
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "40",
    # Bounds of these columns would prune nothing and would copy data into metadata.
    "write.metadata.metrics.column.payload": "none",
    "write.metadata.metrics.column.event_id": "none",
}
DICTIONARY_COLUMNS: Final = [
    "tenant_id",
    "event_type",
    "event_subtype",
    "subject",
    "schema_version",
    "partition",
    "refused_consents",
]
COMPRESSION_LEVEL: Final = 1
"""Of zstd, on 7 KB events: level 1 costs half the CPU of level 3 for a tenth more bytes."""

_DAY: Final = 86_400 * MICROSECONDS


def open_catalogue(dsn: str, warehouse_uri: str) -> SqlCatalog:
    """The catalogue; its tables exist (migration 0002) or are made. `dsn` as for asyncpg, or any SQLAlchemy URL."""
    url = dsn
    for scheme in ("postgresql://", "postgres://"):
        if dsn.startswith(scheme):
            url = "postgresql+psycopg2://" + dsn.removeprefix(scheme)
    return SqlCatalog("weir", uri=url, warehouse=warehouse_uri, pool_pre_ping="true")


def open_table(catalogue: SqlCatalog, name: str) -> Table:
    """The table, made at its first use. Two processes may race for it."""
    with contextlib.suppress(NamespaceAlreadyExistsError):
        catalogue.create_namespace_if_not_exists(NAMESPACE)
    identifier = (NAMESPACE, name)
    try:
        table = catalogue.create_table_if_not_exists(
            identifier, SCHEMA, partition_spec=PARTITIONS, properties={"format-version": "2", **PROPERTIES}
        )
    except TableAlreadyExistsError:
        table = catalogue.load_table(identifier)
    if _is_as_described(table):
        return table
    try:
        with table.transaction() as transaction:
            transaction.set_properties(PROPERTIES)
            with transaction.update_schema() as schema:
                schema.union_by_name(SCHEMA)
    except CommitFailedException as error:
        table = catalogue.load_table(identifier)
        if not _is_as_described(table):  # else another process that starts was first with the same change
            raise ArchiveConflict(f"{name}: another process changes the table just now: {error}") from error
    return table


def _is_as_described(table: Table) -> bool:
    """It may have more: columns of a newer version, whose processes run beside ours during a deployment."""
    return (
        set(SCHEMA.column_names) <= set(table.schema().column_names) and PROPERTIES.items() <= table.properties.items()
    )


@contextlib.contextmanager
def _catalogue_errors() -> Iterator[None]:
    """An outage of the catalogue is waited out. Whether a commit that failed so went through is seen at the next attempt."""
    try:
        yield
    except DBAPIError as error:
        raise ArchiveUnavailable(f"the catalogue of the archive does not answer: {error.orig!r}") from error


@dataclass(slots=True)
class _OpenFile:
    """A Parquet file that is being written: one tenant, one day."""

    path: str
    partition: PartitionKey
    writer: pq.ParquetWriter
    sink: Any


class IcebergArchive:
    """Implements `weir_analytics.ports.Archive`."""

    def __init__(self, table: Table, *, kept_snapshots: timedelta, expire_every_commits: int = 50) -> None:
        self._table = table
        self._kept_snapshots = kept_snapshots
        self._expire_every_commits = expire_every_commits
        self._commits = 0
        self._arrow_schema = table.schema().select(*SCHEMA.column_names).as_arrow()
        self._open: dict[tuple[TenantId, int], _OpenFile] = {}
        self._closed: list[DataFile] = []
        self._accepted_until: Microseconds | None = None

    # ── reading the state ───────────────────────────────────────────────────────────────────────────────────────────

    def state(self) -> ArchiveState:
        with _catalogue_errors():
            self._table.refresh()
        return _state(self._table)

    def recent_ids(self, partitions: Collection[int], since: Microseconds) -> Iterable[tuple[str, str]]:
        if not partitions or self._table.current_snapshot() is None:
            return
        scan = self._table.scan(
            row_filter=And(_at_least("accepted_at", moment(since).isoformat()), _one_of("partition", partitions)),
            selected_fields=("tenant_id", "event_id"),
        )
        for batch in scan.to_arrow_batch_reader():
            yield from zip(batch["tenant_id"].to_pylist(), batch["event_id"].to_pylist(), strict=True)

    def count(self, ranges: Mapping[int, tuple[int, int]], since: Microseconds) -> Mapping[tuple[TenantId, str], int]:
        with _catalogue_errors():
            self._table.refresh()
        if not ranges or self._table.current_snapshot() is None:
            return {}
        scan = self._table.scan(
            row_filter=And(
                _at_least("accepted_at", moment(since).isoformat()),
                _one_of("partition", ranges),
                # Prunes files; what a range holds is looked at below, partition by partition.
                _at_least("offset", min(first for first, _ in ranges.values())),
            ),
            selected_fields=("tenant_id", "accepted_at", "partition", "offset"),
        )
        counts: Counter[tuple[TenantId, str]] = Counter()
        for batch in scan.to_arrow_batch_reader():
            minutes = pc.divide(batch["accepted_at"].cast(pa.int64()), MINUTE)
            for partition, (first, end) in ranges.items():
                mine = pc.and_(
                    pc.equal(batch["partition"], partition),
                    pc.and_(pc.greater_equal(batch["offset"], first), pc.less(batch["offset"], end)),
                )
                part = pa.table({"tenant": batch["tenant_id"], "minute": minutes}).filter(mine)
                grouped = part.group_by(["tenant", "minute"]).aggregate([([], "count_all")])
                for row in grouped.to_pylist():
                    counts[TenantId(row["tenant"]), minute_text(row["minute"] * MINUTE)] += row["count_all"]
        return counts

    # ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def write(self, records: Sequence[ArchivedRecord]) -> None:
        parts: defaultdict[tuple[TenantId, int], list[ArchivedRecord]] = defaultdict(list)
        for record in records:
            parts[(record.tenant_id, record.accepted_at // _DAY)].append(record)
        for key, part in parts.items():
            # One person's events side by side: they compress well, and an export reads few row groups.
            part.sort(key=_by_subject)
            file = self._open.get(key) or self._open_file(*key)
            self._open[key] = file
            file.writer.write_batch(_batch(part, self._arrow_schema))
        newest = max((record.accepted_at for record in records), default=None)
        if newest is not None:
            self._accepted_until = max(self._accepted_until or newest, newest)

    def _open_file(self, tenant_id: TenantId, day: int) -> _OpenFile:
        spec = self._table.spec()
        partition = PartitionKey(
            [PartitionFieldValue(spec.fields[0], tenant_id), PartitionFieldValue(spec.fields[1], day)],
            spec,
            self._table.schema(),
        )
        path = self._table.location_provider().new_data_location(f"{uuid.uuid4()}.parquet", partition)
        sink = self._table.io.new_output(path).create()
        writer = pq.ParquetWriter(
            sink,
            self._arrow_schema,
            compression="zstd",
            compression_level=COMPRESSION_LEVEL,
            use_dictionary=DICTIONARY_COLUMNS,
            write_statistics=[field.name for field in SCHEMA.fields if field.name not in ("payload", "event_id")],
        )
        return _OpenFile(path, partition, writer, sink)

    def commit(self, base: Mapping[int, int], next_offsets: Mapping[int, int]) -> None:
        for key in list(self._open):
            self._closed.append(self._close(self._open.pop(key)))
        with _catalogue_errors():
            self._table.refresh()
        stored = _state(self._table)
        if all(stored.next_offsets.get(partition) == offset for partition, offset in next_offsets.items()):
            # The commit went through, only its answer was lost.
            self._committed()
            return
        for partition, offset in base.items():
            if stored.next_offsets.get(partition, offset) != offset:
                raise ArchiveFenced(
                    f"partition {partition} is archived to {stored.next_offsets[partition]}, we began at {offset}"
                )
        offsets = {**stored.next_offsets, **next_offsets}
        until = max(filter(None, (stored.accepted_until, self._accepted_until)), default=None)
        properties = summary_of(Reached(offsets, None if until is None else moment(until)))
        try:
            with (
                _catalogue_errors(),
                self._table.transaction() as transaction,
                transaction.update_snapshot(properties).merge_append() as append,
            ):
                for file in self._closed:
                    append.append_data_file(file)
        except CommitFailedException as error:
            raise ArchiveConflict(str(error)) from error
        self._committed()

    def _close(self, file: _OpenFile) -> DataFile:
        """Finish the file and describe it with its statistics, so that readers can skip it."""
        file.writer.close()
        file.sink.close()
        statistics = data_file_statistics_from_parquet_metadata(
            parquet_metadata=file.writer.writer.metadata,
            stats_columns=compute_statistics_plan(self._table.schema(), self._table.metadata.properties),
            parquet_column_mapping=parquet_path_to_id_mapping(self._table.schema()),
        )
        return DataFile.from_args(
            content=DataFileContent.DATA,
            file_path=file.path,
            file_format=FileFormat.PARQUET,
            partition=file.partition.partition,
            file_size_in_bytes=len(self._table.io.new_input(file.path)),
            sort_order_id=None,
            spec_id=self._table.metadata.default_spec_id,
            equality_ids=None,
            key_metadata=None,
            **statistics.to_serialized_dict(),
        )

    def _committed(self) -> None:
        self._closed.clear()
        self._accepted_until = None
        self._commits += 1
        if self._commits % self._expire_every_commits == 0:
            self._expire()

    def abandon(self) -> None:
        paths = [file.path for file in self._open.values()] + [file.file_path for file in self._closed]
        for file in self._open.values():
            with contextlib.suppress(OSError):
                file.writer.close()
                file.sink.close()
        self._open.clear()
        self._closed.clear()
        self._accepted_until = None
        for path in paths:
            self._delete(path)

    # ── keeping metadata small ──────────────────────────────────────────────────────────────────────────────────────

    def _expire(self) -> None:
        """Drop old snapshots, and then the metadata files that only they used. Data files are never dropped: nothing is ever
        removed from the table, so the newest snapshot refers to all of them.

        Failure is no reason to stop archiving: the next time does it.
        """
        before = {snapshot.snapshot_id: snapshot for snapshot in self._table.snapshots()}
        try:
            self._table.maintenance.expire_snapshots().older_than(datetime.now(UTC) - self._kept_snapshots).commit()
            self._table.refresh()
            kept = [before.pop(snapshot.snapshot_id, snapshot) for snapshot in self._table.snapshots()]
            used = set(itertools.chain.from_iterable(self._metadata_of(snapshot) for snapshot in kept))
            unused = (
                set(itertools.chain.from_iterable(self._metadata_of(snapshot) for snapshot in before.values())) - used
            )
        except (CommitFailedException, DBAPIError, OSError, ValueError) as error:
            log.warning("old snapshots not expired", table=str(self._table.name()), error=repr(error))
            return
        for path in unused:
            self._delete(path)

    def _metadata_of(self, snapshot: Snapshot) -> Iterator[str]:
        yield snapshot.manifest_list
        for manifest in snapshot.manifests(self._table.io):
            yield manifest.manifest_path

    def _delete(self, path: str) -> None:
        try:
            self._table.io.delete(path)
        except FileNotFoundError:
            return
        except OSError as error:
            log.warning("file of the archive not deleted", path=path, error=repr(error))


class IcebergArchiveReader:
    """Implements `weir_analytics.ports.ArchiveReader`."""

    def __init__(self, catalogue: SqlCatalog) -> None:
        self._catalogue = catalogue

    def payloads(self, table: str, tenant_id: TenantId) -> Iterable[bytes]:
        scan = open_table(self._catalogue, table).scan(
            row_filter=_equal("tenant_id", tenant_id), selected_fields=("payload",)
        )
        for batch in scan.to_arrow_batch_reader():
            yield from (text.as_buffer().to_pybytes() for text in batch["payload"])


def stored_offsets(catalogue: SqlCatalog, table: str) -> Mapping[int, int]:
    """Partition → the first offset that the newest snapshot does not have. Reads the table's metadata anew: not on the event loop."""
    with _catalogue_errors():
        return _state(catalogue.load_table((NAMESPACE, table))).next_offsets


# pyiceberg's expressions are pydantic models with constructors of their own, which mypy's plugin does not see.


def _equal(column: str, value: str) -> BooleanExpression:
    return EqualTo(column, value)  # type: ignore[call-arg]


def _at_least(column: str, value: str | int) -> BooleanExpression:
    return GreaterThanOrEqual(column, value)  # type: ignore[call-arg]


def _one_of(column: str, values: Collection[int] | Collection[str]) -> BooleanExpression:
    return In(column, set(values))  # type: ignore[call-arg]


def _state(table: Table) -> ArchiveState:
    try:
        reached = how_far(table)
    except OffsetsNotKept as error:
        raise ArchiveBroken(
            f"{table.name()}: no snapshot that is kept carries the offsets of the log: {error}"
        ) from error
    if reached is None:
        return ArchiveState({}, None)
    until = reached.accepted_until
    return ArchiveState(reached.next_offsets, None if until is None else microseconds(until))


def _by_subject(record: ArchivedRecord) -> tuple[str, Microseconds]:
    return (record.subject or "", record.event_at or 0)


def _texts(payloads: Sequence[bytes]) -> pa.Array:
    """As text. One that is no UTF-8 is kept with its bad bytes replaced: it must not stop the archive, which would find it again
    at every start."""
    try:
        return pc.cast(pa.array(payloads, pa.binary()), pa.string())
    except pa.ArrowInvalid:
        return pa.array([payload.decode("utf-8", "replace") for payload in payloads], pa.string())


def _batch(records: Sequence[ArchivedRecord], schema: pa.Schema) -> pa.RecordBatch:
    timestamp = pa.timestamp("us", "UTC")
    columns = [
        pa.array([record.tenant_id for record in records], pa.string()),
        pa.array([record.event_id for record in records], pa.string()),
        pa.array([record.event_type for record in records], pa.string()),
        pa.array([record.event_subtype for record in records], pa.string()),
        pa.array([record.subject for record in records], pa.string()),
        pa.array([record.event_at for record in records], pa.int64()).cast(timestamp),
        pa.array([record.accepted_at for record in records], pa.int64()).cast(timestamp),
        pa.array([record.schema_version for record in records], pa.string()),
        pa.array([record.partition for record in records], pa.int32()),
        pa.array([record.offset for record in records], pa.int64()),
        _texts([record.payload for record in records]),
        pa.array([record.refused for record in records], pa.string()),
    ]
    return pa.RecordBatch.from_arrays(
        [column.cast(field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )
