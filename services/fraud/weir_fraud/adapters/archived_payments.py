"""Payments in the archive: one snapshot of the Iceberg table that analytics keeps, read as often as it takes.

Needs the libraries of the extra `training`; the service itself does not read the archive.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import structlog
from pydantic import SecretStr
from pydantic_settings import BaseSettings
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.expressions import And, EqualTo, GreaterThanOrEqual, In, LessThan
from pyiceberg.table import DataScan, Table
from sqlalchemy.exc import DBAPIError
from weir_common.archive import NAMESPACE, OffsetsNotKept, how_far
from weir_common.ids import TenantId
from weir_common.settings import service_config

from weir_fraud.domain.payment import Payment, microseconds
from weir_fraud.domain.payment_event import EVENT_TYPE, PAYMENT_SUBTYPES, PaymentEvent, payment_of
from weir_fraud.errors import ArchiveUnavailable

log = structlog.get_logger(__name__)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
TABLE: Final = (NAMESPACE, "events")
_COLUMNS: Final = ("tenant_id", "accepted_at", "partition", "offset", "payload")
_MINUTE: Final = timedelta(minutes=1)
_PARTITION_BITS: Final = 48
"""An offset below 2⁴⁸ and a partition make one number."""


class ArchiveSettings(BaseSettings):
    """Where the archive is, from ``WEIR_FRAUD_ARCHIVE_*``; those of analytics' lake."""

    model_config = service_config("WEIR_FRAUD_ARCHIVE_")

    warehouse: str
    """A folder, or the URI of an object storage."""
    catalog_dsn: SecretStr
    """`postgresql://…` of a role that may read the schema `lake`."""

    @property
    def warehouse_uri(self) -> str:
        """The warehouse as a URI."""
        return self.warehouse if "://" in self.warehouse else Path(self.warehouse).absolute().as_uri()


class Archived(NamedTuple):
    """A payment and where it stands on the log."""

    payment: Payment
    accepted_at: int
    """µs since 1970."""
    place: int
    """Partition and offset: one number, and no other payment has it."""

    @property
    def arrival(self) -> tuple[int, int]:
        """In this order the mesh accepted them; between partitions it is what the service saw, to the millisecond."""
        return self.accepted_at, self.place


class ArchivedPayments:
    """One snapshot, so that two readings give the same payments, in an order of files that may differ."""

    def __init__(self, settings: ArchiveSettings) -> None:
        """`ArchiveUnavailable` (retry) if the catalogue does not answer or has no archive."""
        dsn = settings.catalog_dsn.get_secret_value()
        for scheme in ("postgresql://", "postgres://"):
            if dsn.startswith(scheme):
                dsn = "postgresql+psycopg2://" + dsn.removeprefix(scheme)
        try:
            self._catalogue = SqlCatalog("weir", uri=dsn, warehouse=settings.warehouse_uri, pool_pre_ping="true")
            self._table = self._catalogue.load_table(TABLE)
        except (DBAPIError, NoSuchTableError) as error:
            raise ArchiveUnavailable(f"the archive cannot be read: {error}") from error
        snapshot = self._table.current_snapshot()
        self._snapshot = snapshot.snapshot_id if snapshot is not None else None
        self.next_offsets = _next_offsets(self._table)
        """Partition of the log → the first record that the snapshot does not have."""
        self._decoder = msgspec.json.Decoder(PaymentEvent)

    @property
    def snapshot(self) -> int | None:
        """The snapshot's number; None of an archive that is still empty."""
        return self._snapshot

    def close(self) -> None:
        """Its connections to the catalogue."""
        self._catalogue.engine.dispose()

    def payments(self, tenant_id: TenantId, since: datetime, until: datetime) -> Iterator[Archived]:
        """Those whose event time is from ``since`` on and before ``until``, in any order."""
        if self._snapshot is not None:
            yield from self._read(self._scan(tenant_id, since, until))

    def accepted_a_minute(
        self, tenant_id: TenantId | None, since: datetime, accepted_since: datetime
    ) -> Mapping[int, int]:
        """How many records `accepted` reads of each minute since 1970, of one tenant or of all. Nothing is decoded."""
        counts: Counter[int] = Counter()
        if self._snapshot is not None:
            scan = self._scan(tenant_id, since, None, ("accepted_at",), _from("accepted_at", accepted_since))
            for batch in scan.to_arrow_batch_reader():
                counts.update((moment - _EPOCH) // _MINUTE for moment in batch["accepted_at"].to_pylist())
        return counts

    def accepted(self, tenant_id: TenantId | None, since: datetime, begin: datetime, end: datetime) -> list[Archived]:
        """Those that happened from ``since`` on and were accepted from ``begin`` on and before ``end``, in any order.

        Without their contexts, which histories do not keep.
        """
        if self._snapshot is None:
            return []
        accepted = (_from("accepted_at", begin), _before("accepted_at", end))
        return list(self._read(self._scan(tenant_id, since, None, _COLUMNS, *accepted), with_context=False))

    def _read(self, scan: DataScan, *, with_context: bool = True) -> Iterator[Archived]:
        for batch in scan.to_arrow_batch_reader():
            columns = (batch[name].to_pylist() for name in ("tenant_id", "accepted_at", "partition", "offset"))
            payloads = (text.as_buffer() for text in batch["payload"])
            for tenant_id, accepted_at, partition, offset, payload in zip(*columns, payloads, strict=True):
                try:
                    event = self._decoder.decode(payload)
                    payment = payment_of(event, TenantId(tenant_id), accepted_at, with_context=with_context)
                except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
                    # The consumer that decides has put it aside already, with its coordinates.
                    log.warning("no payment", tenant_id=tenant_id, partition=partition, offset=offset, error=str(error))
                    continue
                yield Archived(payment, microseconds(accepted_at), partition << _PARTITION_BITS | offset)

    def count(self, tenant_id: TenantId, since: datetime, until: datetime) -> int:
        """How many records `payments` reads; those that are no payments count, too. Nothing is decoded."""
        return 0 if self._snapshot is None else int(self._scan(tenant_id, since, until).count())

    def _scan(
        self,
        tenant_id: TenantId | None,
        since: datetime,
        until: datetime | None,
        columns: tuple[str, ...] = _COLUMNS,
        *more: Any,
    ) -> DataScan:
        # pyiceberg's expressions are pydantic models with constructors of their own, which mypy's plugin does not see.
        conditions: list[Any] = [
            EqualTo("event_type", EVENT_TYPE),  # type: ignore[call-arg]
            In("event_subtype", set(PAYMENT_SUBTYPES)),  # type: ignore[call-arg]
            _from("event_timestamp", since),
            *more,
        ]
        if tenant_id is not None:
            conditions.insert(0, EqualTo("tenant_id", tenant_id))  # type: ignore[call-arg]
        if until is not None:
            conditions.append(_before("event_timestamp", until))
        return self._table.scan(And(*conditions), selected_fields=columns, snapshot_id=self._snapshot)


def _from(column: str, moment: datetime) -> Any:
    return GreaterThanOrEqual(column, moment.isoformat())  # type: ignore[call-arg]


def _before(column: str, moment: datetime) -> Any:
    return LessThan(column, moment.isoformat())  # type: ignore[call-arg]


def _next_offsets(table: Table) -> Mapping[int, int]:
    """None: the archive is empty, or nobody knows; then whoever continues with the log reads all of it."""
    try:
        reached = how_far(table)
    except OffsetsNotKept as error:
        log.warning("the archive does not say how far it is", reason=str(error))
        return {}
    return {} if reached is None else reached.next_offsets
