"""Counts unknown fields in memory and adds them to the store every few seconds; a kill in between loses those seconds' counts."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import structlog
from weir_common.errors import RetryError
from weir_common.ids import TenantId

from weir_ingest.domain.drift import Sighting
from weir_ingest.ports import DriftStore

log = structlog.get_logger(__name__)

FLUSH_SECONDS = 5.0
KEPT_DAYS = 90
_MAX_TENANTS = 10_000


@dataclass(slots=True)
class _Count:
    events: int
    first: datetime
    last: datetime


def _now() -> datetime:
    return datetime.now(UTC)


class DriftBook:
    """See ``Drift``. Bounded: a hundred fields of each of ten thousand tenants (the names come from ``DriftPlaces``)."""

    def __init__(self, store: DriftStore, *, clock: Callable[[], datetime] = _now) -> None:
        self._store = store
        self._clock = clock
        self._counts: dict[TenantId, dict[tuple[date, str, str], _Count]] = defaultdict(dict)

    def count(self, tenant_id: TenantId, schema_version: str, field: str) -> None:
        """See ``Drift.count``."""
        if tenant_id not in self._counts and len(self._counts) >= _MAX_TENANTS:
            return
        now = self._clock()
        counts, key = self._counts[tenant_id], (now.date(), schema_version, field)
        if (known := counts.get(key)) is None:
            counts[key] = _Count(1, now, now)
        else:
            known.events += 1
            known.last = now

    async def flush(self) -> None:
        """Add what was counted, tenant by tenant. ``RetryError`` when the store does not answer: the rest waits."""
        before = self._clock().date() - timedelta(days=KEPT_DAYS)
        for tenant_id in list(self._counts):
            counts = self._counts.pop(tenant_id)
            sightings = [
                Sighting(day, version, field, count.events, count.first, count.last)
                for (day, version, field), count in counts.items()
            ]
            try:
                await self._store.add(tenant_id, sightings, forget_before=before)
            except RetryError:
                self._put_back(tenant_id, counts)
                raise

    def _put_back(self, tenant_id: TenantId, counts: dict[tuple[date, str, str], _Count]) -> None:
        newer = self._counts[tenant_id]
        for key, count in counts.items():
            if (other := newer.get(key)) is not None:
                other.events += count.events
                other.first = count.first
            else:
                newer[key] = count

    async def run(self, stop: asyncio.Event) -> None:
        """Flush until ``stop``, then once more."""
        while not stop.is_set():
            try:
                async with asyncio.timeout(FLUSH_SECONDS):
                    await stop.wait()
            except TimeoutError:
                pass
            try:
                await self.flush()
            except RetryError as error:
                log.warning("counts of unknown fields wait", error=str(error))
