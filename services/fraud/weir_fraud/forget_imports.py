"""Forget where imported payments were observed, once no history has them any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog
from weir_common.errors import RetryError
from weir_common.ids import TenantId

from weir_fraud.domain.aggregate import RETENTION_SECONDS
from weir_fraud.ports import ImportedPayments

log = structlog.get_logger(__name__)

FIRST_SECONDS: Final = 60.0
"""After the start, also of an instance that never lives for an hour."""
EVERY_SECONDS: Final = 3_600.0
PAUSE_SECONDS: Final = 0.2
DEADLINE_SECONDS: Final = 10.0
CHUNK: Final = 1_000
"""Rows of one transaction: some milliseconds."""


class ForgetImports:
    """Once an hour, a chunk at a time with a pause behind each."""

    def __init__(
        self,
        imports: ImportedPayments,
        tenants: Callable[[], Sequence[TenantId]],
        clock: Callable[[], datetime],
        *,
        first_seconds: float = FIRST_SECONDS,
    ) -> None:
        self._imports = imports
        self._tenants = tenants
        self._clock = clock
        self._first_seconds = first_seconds

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop."""
        wait = self._first_seconds
        while not await _stopped(stop, wait):
            wait = EVERY_SECONDS
            for tenant_id in self._tenants():
                try:
                    while await self.forget(tenant_id) == CHUNK and not await _stopped(stop, PAUSE_SECONDS):
                        pass
                except (RetryError, TimeoutError) as error:
                    log.warning("imports were not forgotten", tenant=tenant_id, reason=str(error) or "no answer")
                if stop.is_set():
                    return

    async def forget(self, tenant_id: TenantId) -> int:
        """A chunk of the tenant's oldest; gives how many there were."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await self._imports.forget(tenant_id, self._clock() - timedelta(seconds=RETENTION_SECONDS), CHUNK)


async def _stopped(stop: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return False
    return True
