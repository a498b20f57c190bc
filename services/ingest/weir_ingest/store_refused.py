"""The consumer that files refusals into the quarantine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import msgspec
from weir_common.errors import QuarantineError
from weir_common.ids import TenantId
from weir_common.kafka.consumer import Transaction
from weir_common.kafka.records import Record

from weir_ingest.domain.quarantine import RefusedEvent
from weir_ingest.ports import RefusedWriter

_decoder = msgspec.json.Decoder(RefusedEvent)


class StoreRefused:
    """See ``BatchHandler``."""

    def __init__(self, writer: Callable[[Transaction], RefusedWriter]) -> None:
        self._writer = writer

    async def apply(self, batch: Sequence[Record], transaction: Transaction) -> None:
        """One write a tenant."""
        by_tenant: dict[TenantId, list[RefusedEvent]] = defaultdict(list)
        for record in batch:
            try:
                refused = _decoder.decode(record.value)
            except msgspec.DecodeError as error:
                raise QuarantineError("unreadable_refusal", str(error), record=record) from error
            if refused.tenant_id != record.tenant_id:
                raise QuarantineError("tenant_differs", "header and value", record=record)
            by_tenant[record.tenant_id].append(refused)
        writer = self._writer(transaction)
        for tenant_id, refused_events in by_tenant.items():
            await transaction.as_tenant(tenant_id)
            await writer.write(tenant_id, refused_events)
