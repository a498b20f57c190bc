"""Receipts in memory, for unit tests; passes the same contract tests as the real store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from weir_common.errors import RetryError
from weir_common.ids import EventId, TenantId

from weir_ingest.domain.receipt import KeptReceipt


class MemoryReceipts:
    """``fail`` makes every call fail as an outage does."""

    def __init__(self) -> None:
        self._receipts: dict[tuple[TenantId, EventId], KeptReceipt] = {}
        self.fail = False

    async def find(self, tenant_id: TenantId, event_ids: Sequence[EventId]) -> Mapping[EventId, KeptReceipt]:
        """See ``ReceiptStore.find``."""
        self._check()
        found = {event_id: self._receipts.get((tenant_id, event_id)) for event_id in event_ids}
        return {event_id: receipt for event_id, receipt in found.items() if receipt is not None}

    async def save(self, tenant_id: TenantId, receipts: Mapping[EventId, KeptReceipt]) -> None:
        """See ``ReceiptStore.save``."""
        self._check()
        for event_id, receipt in receipts.items():
            self._receipts.setdefault((tenant_id, event_id), receipt)

    def _check(self) -> None:
        if self.fail:
            raise RetryError("the store is away")
