"""Delete what the quarantine has held for long enough."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import structlog
from weir_common.errors import RetryError
from weir_common.ids import TenantId
from weir_common.telemetry import meter

from weir_ingest.ports import QuarantineStore

log = structlog.get_logger(__name__)

_EVERY_SECONDS = 600.0
_AT_ONCE = 1_000


class ForgetRefused:
    """Runs beside the service; ``tenants`` gives those that there are now."""

    def __init__(self, store: QuarantineStore, tenants: Callable[[], Iterable[TenantId]]) -> None:
        self._store = store
        self._tenants = tenants
        self._forgotten = meter().create_counter(
            "weir.ingest.quarantine.expired",
            unit="{event}",
            description="Refused events deleted at the end of their time",
        )

    async def sweep(self, now: datetime) -> int:
        """Delete what had expired by ``now``, tenant by tenant; how many. ``RetryError`` when the store does not answer."""
        total = 0
        for tenant_id in list(self._tenants()):
            deleted = _AT_ONCE
            while deleted == _AT_ONCE:
                deleted = await self._store.forget(tenant_id, now, limit=_AT_ONCE)
                total += deleted
                if deleted:
                    self._forgotten.add(deleted, {"weir.tenant.id": tenant_id})
        return total

    async def run(self, stop: asyncio.Event) -> None:
        """Sweep every ten minutes until ``stop``."""
        while not stop.is_set():
            try:
                async with asyncio.timeout(_EVERY_SECONDS):
                    await stop.wait()
            except TimeoutError:
                try:
                    await self.sweep(datetime.now(UTC))
                except RetryError as error:
                    log.warning("expired refusals could not be deleted; again later", error=str(error))
