"""A dashboard's figures from the archive alone: what the rollups must equal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
from weir_common.ids import TenantId

from weir_analytics.domain.metric import Figures
from weir_analytics.domain.recompute import recompute
from weir_analytics.ports import ArchiveReader

_JSON: Final = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


class RecomputeDashboard:
    def __init__(self, archive: ArchiveReader) -> None:
        self._archive = archive

    def __call__(self, tenant_id: TenantId, start: datetime, end: datetime) -> dict[str, Figures]:
        """Figures of every metric over [start, end), which must be whole minutes, as the rollups are.

        Blocks: it reads *everything* that the archive holds of the tenant, because an event of any age can decide which event of an
        order was the first or where a session began. Call it in a thread. What was accepted within the last commit
        interval is not in the archive yet.
        """
        return recompute(
            self._read("events", tenant_id, "event_metadata"),
            self._read("decisions", tenant_id, "event_timestamp"),
            start,
            end,
        )

    def _read(self, table: str, tenant_id: TenantId, required: str) -> Iterator[dict[str, Any]]:
        """Records of one table, without those that the consumer put aside because they are no event or decision."""
        for payload in self._archive.payloads(table, tenant_id):
            try:
                record = _JSON.decode(payload)
            except msgspec.MsgspecError:
                continue
            if required in record:
                yield record
