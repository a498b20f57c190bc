"""What became of an event: its receipt, how far it has come since, and whether its personal data can still be read."""

from __future__ import annotations

import asyncio
from typing import Final, Literal

import msgspec
from weir_common.applied import Positions
from weir_common.errors import RetryError
from weir_common.ids import EventId, TenantId
from weir_common.privacy.errors import KeyDestroyed, VaultUnavailable
from weir_common.problems import NotFound, Unavailable

from weir_ingest.domain.fate import ERASED, ERASURE_UNKNOWN, NOT_ERASED, Erasure, Fate, fates_of
from weir_ingest.domain.receipt import KeptReceipt, Receipt
from weir_ingest.ports import ReceiptStore, SubjectKeys

VAULT_SECONDS: Final = 2.0


class EventFate(msgspec.Struct, frozen=True):
    """``status`` is `erased` once the key of the person that the event is about was destroyed."""

    event_id: EventId
    status: Literal["accepted", "erased"]
    receipt: Receipt
    fates: list[Fate]
    erasure: Erasure


class ReadReceipt:
    """The use case of both edges."""

    def __init__(self, receipts: ReceiptStore, positions: Positions, subject_keys: SubjectKeys) -> None:
        self._receipts = receipts
        self._positions = positions
        self._subject_keys = subject_keys

    async def __call__(self, tenant_id: TenantId, event_id: str) -> EventFate:
        """`NotFound` when the event was not accepted within the window, `Unavailable` when that cannot be said now."""
        event = EventId(event_id.lower())
        try:
            kept = (await self._receipts.find(tenant_id, [event])).get(event)
        except RetryError as error:
            raise Unavailable("Receipts cannot be read now.") from error
        if kept is None:
            raise NotFound(
                f"There is no receipt for event {event_id}: it was not accepted, or longer than 24 hours ago."
            )
        receipt = kept.receipt
        next_offsets, erasure = await asyncio.gather(
            self._positions.next_offsets(receipt.topic, receipt.partition), self._erasure(tenant_id, kept)
        )
        return EventFate(
            event_id=event,
            status="erased" if erasure is ERASED else "accepted",
            receipt=receipt,
            fates=fates_of(receipt.offset, next_offsets),
            erasure=erasure,
        )

    async def _erasure(self, tenant_id: TenantId, kept: KeptReceipt) -> Erasure:
        if kept.key_id is None:
            return NOT_ERASED
        try:
            async with asyncio.timeout(VAULT_SECONDS):
                await self._subject_keys.open_key(tenant_id, kept.key_id)
        except KeyDestroyed:
            return ERASED
        except (VaultUnavailable, TimeoutError):
            return ERASURE_UNKNOWN
        return NOT_ERASED
