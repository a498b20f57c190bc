"""Read a tenant's dashboard: rollups in, figures out."""

from __future__ import annotations

from datetime import datetime

from weir_common.ids import TenantId

from weir_analytics.domain.catalogue import Catalogue
from weir_analytics.domain.dashboard import Dashboard, assemble
from weir_analytics.domain.window import Window
from weir_analytics.ports import RollupReader


class ReadDashboard:
    def __init__(self, catalogue: Catalogue, rollups: RollupReader) -> None:
        self._catalogue = catalogue
        self._rollups = rollups

    async def __call__(self, tenant_id: TenantId, start: datetime, end: datetime) -> Dashboard:
        """Figures of every metric over the whole minutes that hold [start, end). ValueError: see Window.over."""
        window = Window.over(start.timestamp(), end.timestamp())
        rollups = await self._rollups.read(tenant_id, window)
        return assemble(
            self._catalogue,
            window,
            rollups.counters,
            rollups.sketches,
            as_of=rollups.as_of,
            freshness=rollups.freshness,
        )
