"""What ingest needs from the outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from weir_common.errors import RetryError
from weir_common.ids import EventId, TenantId
from weir_common.kafka.records import OutgoingRecord, Position

from weir_ingest.domain.receipt import Receipt


class ReceiptStore(Protocol):
    """Remembers which events were accepted. It may forget (restart, eviction): consumers drop late repeats themselves."""

    async def find(self, tenant_id: TenantId, event_ids: Sequence[EventId]) -> Mapping[EventId, Receipt]:
        """Receipts of those of the events that have one; ``RetryError`` when the store does not answer in time."""
        ...

    async def save(self, tenant_id: TenantId, receipts: Mapping[EventId, Receipt]) -> None:
        """Keep the receipts for the window; the first receipt of an event wins. ``RetryError`` as above."""
        ...


class EventLog(Protocol):
    """The log; an event counts as accepted only when its ``Position`` came back."""

    async def try_publish_all(
        self, records: Sequence[OutgoingRecord], *, timeout: float | None = None
    ) -> list[Position | RetryError]:
        """One outcome a record, in order."""
        ...
