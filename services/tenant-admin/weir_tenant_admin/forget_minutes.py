"""Delete what the ledger and the service levels no longer need: the report reaches back 30 days, the burn windows three."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta

import structlog
from weir_common.errors import RetryError
from weir_common.ids import TenantId
from weir_common.telemetry import meter

from weir_tenant_admin.ports import Clock, MinuteStore

log = structlog.get_logger(__name__)

RETENTION = timedelta(days=35)
FIRST_AFTER_SECONDS = 60.0
"""Soon after the start, so that restarts do not put it off for ever."""
EVERY_SECONDS = 3_600.0
_AT_ONCE = 10_000


class ForgetMinutes:
    """Runs beside the service; ``tenants`` gives those that there are now. In steps small enough that nobody waits for one."""

    def __init__(
        self,
        tenants: Callable[[], Iterable[TenantId]],
        stores: Sequence[MinuteStore],
        clock: Clock,
        *,
        first_after_seconds: float = FIRST_AFTER_SECONDS,
        every_seconds: float = EVERY_SECONDS,
    ) -> None:
        self._tenants = tenants
        self._stores = stores
        self._clock = clock
        self._first_after_seconds = first_after_seconds
        self._every_seconds = every_seconds
        self._forgotten = meter().create_counter(
            "weir.minutes.expired",
            unit="{row}",
            description="Rows by tenant and minute deleted at the end of their time",
        )

    async def sweep(self) -> int:
        """Everything that is too old now; how many rows. ``RetryError`` when a store does not answer."""
        before = self._clock() - RETENTION
        total = 0
        for tenant_id in list(self._tenants()):
            for store in self._stores:
                deleted = _AT_ONCE
                while deleted >= _AT_ONCE:
                    deleted = await store.forget(tenant_id, before, limit=_AT_ONCE)
                    total += deleted
        self._forgotten.add(total)
        return total

    async def run(self, stop: asyncio.Event) -> None:
        """Sweep every hour until ``stop``."""
        wait = self._first_after_seconds
        while not stop.is_set():
            try:
                async with asyncio.timeout(wait):
                    await stop.wait()
            except TimeoutError:
                wait = self._every_seconds
                try:
                    await self.sweep()
                except RetryError as error:
                    log.warning("old minutes could not be deleted; again later", error=str(error))
