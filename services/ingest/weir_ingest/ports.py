"""What ingest needs from the outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from weir_common.errors import RetryError
from weir_common.ids import EventId, TenantId
from weir_common.kafka.records import OutgoingRecord, Position

from weir_ingest.domain.idempotency import Claim, KeptAnswer
from weir_ingest.domain.quota import Draw, Quota
from weir_ingest.domain.receipt import Receipt


class ReceiptStore(Protocol):
    """Remembers which events were accepted. It may forget (restart, eviction): consumers drop late repeats themselves."""

    async def find(self, tenant_id: TenantId, event_ids: Sequence[EventId]) -> Mapping[EventId, Receipt]:
        """Receipts of those of the events that have one; ``RetryError`` when the store does not answer in time."""
        ...

    async def save(self, tenant_id: TenantId, receipts: Mapping[EventId, Receipt]) -> None:
        """Keep the receipts for the window; the first receipt of an event wins. ``RetryError`` as above."""
        ...


class AnswerStore(Protocol):
    """Remembers the answers to requests with an ``Idempotency-Key``, so that a repeated request gets the same one."""

    async def claim(self, tenant_id: TenantId, key: str, digest: str) -> Claim:
        """Ours to do, being done, done (with its answer) or used for another request. ``RetryError`` as above."""
        ...

    async def keep(self, tenant_id: TenantId, key: str, digest: str, answer: KeptAnswer) -> None:
        """The answer of a request that we claimed."""
        ...

    async def release(self, tenant_id: TenantId, key: str) -> None:
        """The request came to nothing and may be done again."""
        ...


class EventLog(Protocol):
    """The log; an event counts as accepted only when its ``Position`` came back."""

    async def try_publish_all(
        self, records: Sequence[OutgoingRecord], *, timeout: float | None = None
    ) -> list[Position | RetryError]:
        """One outcome a record, in order."""
        ...


class Book(Protocol):
    """The door's side of the ledger."""

    def count(self, tenant_id: TenantId, minute: str, fates: Mapping[str, int]) -> None:
        """Events of one request by their fate; ``minute`` as ``2026-11-25T10:30``, UTC."""
        ...


class QuotaStore(Protocol):
    """Token buckets that all instances share."""

    async def draw(self, tenant_id: TenantId, quota: Quota, events: int, bytes_: int) -> Draw:
        """Take up to so many events and bytes; neither waits for the other. ``RetryError`` as above."""
        ...
