"""What ingest needs from the outside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Protocol
from uuid import UUID

from weir_common.errors import RetryError
from weir_common.events import Event
from weir_common.ids import EventId, SubjectId, TenantId
from weir_common.kafka.records import OutgoingRecord, Position
from weir_common.privacy.subject_cipher import SubjectCipher

from weir_ingest.domain.drift import DriftedField, Sighting
from weir_ingest.domain.idempotency import Claim, KeptAnswer
from weir_ingest.domain.quarantine import HeldEvent, HeldState, ReasonTotal, Refusal, RefusedEvent, Selection
from weir_ingest.domain.quota import Draw, Quota
from weir_ingest.domain.receipt import KeptReceipt


class ReceiptStore(Protocol):
    """Remembers which events were accepted. It may forget (restart, eviction): consumers drop late repeats themselves."""

    async def find(self, tenant_id: TenantId, event_ids: Sequence[EventId]) -> Mapping[EventId, KeptReceipt]:
        """Receipts of those of the events that have one; ``RetryError`` when the store does not answer in time."""
        ...

    async def save(self, tenant_id: TenantId, receipts: Mapping[EventId, KeptReceipt]) -> None:
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


class Protect(Protocol):
    """Takes personal data out of events; `weir_common.privacy.protect_events.ProtectEvents` is one."""

    async def __call__(
        self, tenant_id: TenantId, events: Sequence[Event], *, step: Callable[[], Awaitable[None]]
    ) -> list[Event]:
        """As the log may have them, in order; ``step`` is awaited in between. ``VaultUnavailable``: none may be kept."""
        ...


class SubjectKeys(Protocol):
    """Whether what was sealed for a subject can be opened; the vault is one."""

    async def open_key(self, tenant_id: TenantId, subject_id: SubjectId) -> SubjectCipher:
        """Its key. ``KeyDestroyed`` if there is none any more, ``VaultUnavailable`` if that cannot be said."""
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


class Quarantine(Protocol):
    """Keeps what was refused."""

    async def keep(self, tenant_id: TenantId, refusals: Sequence[Refusal], refused_at: datetime) -> list[UUID | None]:
        """Its id in the quarantine, durable; None where it could not be kept (no room, or the log does not answer)."""
        ...


class Seal(Protocol):
    """Closes and opens the text of a refused event, under a key of its tenant."""

    def fingerprint(self, tenant_id: TenantId, text: bytes) -> bytes:
        """32 bytes, the same for the same text; of no use to who has not the key."""
        ...

    def index(self, tenant_id: TenantId, subject: str) -> bytes:
        """A keyed digest by which a person's events are found again."""
        ...

    def close(self, tenant_id: TenantId, quarantine_id: UUID, text: bytes) -> bytes:
        """Authenticated, bound to its tenant and entry."""
        ...

    def open(self, tenant_id: TenantId, quarantine_id: UUID, sealed: bytes) -> bytes:
        """The text; ``StopError`` if it was closed under another key, for another tenant or entry, or changed."""
        ...


class QuarantineStore(Protocol):
    """The quarantine's entries. Every call: ``RetryError`` when the store does not answer in time."""

    async def page(
        self,
        tenant_id: TenantId,
        selection: Selection,
        *,
        states: Sequence[HeldState],
        after: tuple[datetime, UUID] | None,
        limit: int,
    ) -> list[HeldEvent]:
        """Newest refusal first, without the sealed texts; ``after``: time and id of the last of the page before."""
        ...

    async def get(self, tenant_id: TenantId, quarantine_id: UUID) -> HeldEvent | None:
        """With its sealed text."""
        ...

    async def held(self, tenant_id: TenantId, selection: Selection, *, limit: int) -> list[HeldEvent]:
        """What is held of a selection, oldest first, with the sealed texts."""
        ...

    async def of_subjects(self, tenant_id: TenantId, subjects: Sequence[bytes], *, limit: int) -> list[HeldEvent]:
        """A person's events that still have their text, by their keyed digests."""
        ...

    async def reasons(self, tenant_id: TenantId, *, limit: int) -> list[ReasonTotal]:
        """What is wrong with what is held, the most frequent first."""
        ...

    async def settle(self, tenant_id: TenantId, quarantine_ids: Sequence[UUID], state: HeldState) -> int:
        """Entries that are held become replayed or discarded, and their texts are deleted; how many did."""
        ...

    async def usage(self, tenant_id: TenantId, *, at_most: int) -> tuple[int, int]:
        """How many are held, counted up to ``at_most``, and their bytes."""
        ...

    async def forget(self, tenant_id: TenantId, now: datetime, *, limit: int) -> int:
        """Delete up to ``limit`` entries that have expired; how many were."""
        ...


class DriftStore(Protocol):
    """Unknown fields by day. ``RetryError`` when it does not answer in time."""

    async def add(self, tenant_id: TenantId, sightings: Sequence[Sighting], *, forget_before: date) -> None:
        """Add to what is there, and delete the tenant's days before a date."""
        ...

    async def read(self, tenant_id: TenantId, since: date, *, limit: int) -> list[DriftedField]:
        """By field and version since a day, the most frequent first."""
        ...


class Drift(Protocol):
    """The door's side of it."""

    def count(self, tenant_id: TenantId, schema_version: str, field: str) -> None:
        """One event had it just now. Returns at once."""
        ...


class RefusedWriter(Protocol):
    """Writes refusals in the transaction that moves the consumer's offset."""

    async def write(self, tenant_id: TenantId, refused: Sequence[RefusedEvent]) -> None:
        """A new entry each, or one more sighting of an entry that is there."""
        ...
