"""Enter in the ledger what the archive holds: every committed record once, and none that is not committed.

The archive's commit and the ledger's entry are two stores' business, so no transaction holds both. What ties them is the log's
offsets, which stand in each: a snapshot carries the offsets behind its records, and `archive_entered` how far the ledger was
told, moved in the transaction that writes the entry to the outbox.

- Entries are made after the commit, up to offsets that the newest snapshot carries: nothing is counted that is not in it.
- A process that dies between the two leaves `archive_entered` behind the snapshot. Whoever gets the partitions next counts the
  records between the two in the table itself and enters them: nothing is left out.
- The position is moved only from where the entry begins, so two that count the same records enter them once: nothing is
  counted twice. The outbox may send an entry again; the ledger drops the repeat by its id.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final

import structlog
from weir_common.errors import RetryError
from weir_common.ids import TenantId
from weir_common.kafka.records import OutgoingRecord
from weir_common.ledger import Counts, counts_record
from weir_common.telemetry import meter

from weir_analytics.domain.event import microseconds
from weir_analytics.ports import MINUTE, Archive, ArchivedRecord, ArchiveEntries, minute_text

log = structlog.get_logger(__name__)

UNKNOWN_TENANT: Final = TenantId("__unknown__")
"""Of records that name none: kept where no tenant can see them, and in nobody's books."""
KEPT: Final = timedelta(days=35)
"""The ledger forgets what is older."""
_ROWS: Final = 2_000
"""Of one entry: some 100 KB, below what a broker takes."""
_ATTEMPTS: Final = 5


class ArchiveTally:
    """What was archived since the ledger was last told."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], list[int]] = {}

    @property
    def counts(self) -> Counts:
        return self._counts

    def add(self, archived: Collection[ArchivedRecord], duplicates: Collection[ArchivedRecord]) -> None:
        for place, records in enumerate((archived, duplicates)):
            # A minute is written out once, and not for each of its records.
            minutes = Counter((record.tenant_id, record.accepted_at // MINUTE) for record in records)
            for (tenant_id, minute), count in minutes.items():
                if tenant_id != UNKNOWN_TENANT:
                    self._counts.setdefault((tenant_id, minute_text(minute * MINUTE)), [0, 0, 0])[place] += count


class EnterArchived:
    """The use case, for one table; `consumer` is its name in the ledger."""

    def __init__(self, consumer: str, archive: Archive, entries: ArchiveEntries) -> None:
        self._consumer = consumer
        self._archive = archive
        self._entries = entries
        self._recounted = meter().create_counter(
            "weir.lake.recounted",
            unit="{record}",
            description="Archived records that were counted in the table, since whoever archived them did not enter them",
        )

    async def committed(self, ranges: Mapping[int, tuple[int, int]], counts: Counts) -> None:
        """Enter a commit: by partition, its first offset and the one behind its last. RetryError when it cannot be now."""
        ranges = _not_empty(ranges)
        if ranges and not await self._entries.enter(ranges, self._records(counts)):
            # The ledger stands elsewhere: an entry before this one is missing, or another has made this one.
            await self.catch_up({partition: end for partition, (_, end) in ranges.items()})

    async def catch_up(self, committed: Mapping[int, int]) -> None:
        """Enter what these partitions hold below these offsets and the ledger does not know. RetryError as above."""
        for _ in range(_ATTEMPTS):
            entered = await self._entries.entered(committed)
            ranges = _not_empty({partition: (entered[partition], end) for partition, end in committed.items()})
            if not ranges:
                return
            since = microseconds(datetime.now(UTC) - KEPT)
            found = await asyncio.to_thread(self._archive.count, ranges, since)
            counts: Counts = {
                (tenant_id, minute): (count, 0, 0)
                for (tenant_id, minute), count in found.items()
                if tenant_id != UNKNOWN_TENANT
            }
            if await self._entries.enter(ranges, self._records(counts)):
                recounted = sum(found.values())
                self._recounted.add(recounted, {"weir.consumer": self._consumer})
                log.info("archived records entered in the ledger", consumer=self._consumer, records=recounted)
                return
        raise RetryError(f"{self._consumer}: others move the position of the entries all the time")

    def _records(self, counts: Counts) -> Sequence[OutgoingRecord]:
        rows = iter(counts.items())
        parts = iter(lambda: dict(islice(rows, _ROWS)), {})
        return [record for part in parts if (record := counts_record(self._consumer, part)) is not None]


def _not_empty(ranges: Mapping[int, tuple[int, int]]) -> dict[int, tuple[int, int]]:
    return {partition: (first, end) for partition, (first, end) in ranges.items() if first < end}
