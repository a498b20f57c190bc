"""Unknown fields in memory, for tests; same contract as in PostgreSQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date

from weir_common.ids import TenantId

from weir_ingest.domain.drift import DriftedField, Sighting
from weir_ingest.domain.quarantine import storable


class MemoryDrift:
    """See ``DriftStore``."""

    def __init__(self) -> None:
        self._sightings: dict[TenantId, list[Sighting]] = defaultdict(list)

    async def add(self, tenant_id: TenantId, sightings: Sequence[Sighting], *, forget_before: date) -> None:
        """See ``DriftStore.add``."""
        kept = [*self._sightings[tenant_id], *sightings]
        self._sightings[tenant_id] = [one for one in kept if one.day >= forget_before]

    async def read(self, tenant_id: TenantId, since: date, *, limit: int) -> list[DriftedField]:
        """See ``DriftStore.read``."""
        groups: dict[tuple[str, str], list[Sighting]] = defaultdict(list)
        for one in self._sightings[tenant_id]:
            if one.day >= since:
                groups[storable(one.field), one.schema_version].append(one)
        found = [
            DriftedField(
                field=field,
                schema_version=version,
                events=sum(one.events for one in group),
                days=len({one.day for one in group}),
                first_seen_at=min(one.first_seen_at for one in group),
                last_seen_at=max(one.last_seen_at for one in group),
            )
            for (field, version), group in groups.items()
        ]
        return sorted(found, key=lambda one: (-one.events, one.field, one.schema_version))[:limit]
