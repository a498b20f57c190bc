"""The door's side of the books: counted in memory by tenant and minute, entered in the ledger ten times a second.

An entry leaves an instant after the answers that it counts. A kill in between loses it: its accepted events then show as
``unanswered`` in the ledger, never as lost. While Kafka is away what is counted grows in count, not in number.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol

import structlog
from weir_common.errors import RetryError
from weir_common.ids import TenantId
from weir_common.kafka.records import OutgoingRecord, Position
from weir_common.ledger import AtTheDoor, door_record
from weir_common.telemetry import meter

log = structlog.get_logger(__name__)

FLUSH_SECONDS = 0.1
_MAX_BACKOFF_SECONDS = 5.0


class Publisher(Protocol):
    """See ``EventLog``."""

    async def publish_all(
        self, records: Sequence[OutgoingRecord], *, timeout: float | None = None
    ) -> Sequence[Position]: ...


class LedgerBook:
    """Counts fates; run ``run`` in the background."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._fates: dict[tuple[TenantId, str], Counter[str]] = {}
        self._refused: list[OutgoingRecord] = []
        self._failures = meter().create_counter(
            "weir.ingest.ledger.failures", unit="{attempt}", description="Entries that the ledger did not take at once"
        )

    def count(self, tenant_id: TenantId, minute: str, fates: Mapping[str, int]) -> None:
        """Events of one request, all received in ``minute`` (``2026-11-25T10:30``)."""
        self._fates.setdefault((tenant_id, minute), Counter()).update(fates)

    async def run(self, stop: asyncio.Event) -> None:
        """Enter what was counted until ``stop``, then once more."""
        pause = FLUSH_SECONDS
        while not stop.is_set():
            try:
                async with asyncio.timeout(pause):
                    await stop.wait()
            except TimeoutError:
                pass
            pause = FLUSH_SECONDS if await self.flush() else min(pause * 2, _MAX_BACKOFF_SECONDS)

    async def flush(self) -> bool:
        """False when entries could not be written and wait. They are sent again as they are: a repeat is known by its id."""
        if not self._refused:
            fates, self._fates = self._fates, {}
            self._refused = [
                door_record(AtTheDoor(tenant_id, minute, counts.total(), dict(counts)))
                for (tenant_id, minute), counts in fates.items()
            ]
        if not self._refused:
            return True
        try:
            await self._publisher.publish_all(self._refused)
        except RetryError as error:
            self._failures.add(1)
            log.warning("ledger entries wait", waiting=len(self._refused), error=str(error))
            return False
        self._refused = []
        return True
