"""Keeps ``weir_ledger_imbalance_events`` true, from which the alert is made: differences that are not harmless."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta

import asyncpg
import structlog
from weir_common.ids import TenantId
from weir_common.telemetry import meter

from weir_tenant_admin.domain.ledger import HARMLESS
from weir_tenant_admin.read_ledger import ReadLedger

log = structlog.get_logger(__name__)

LOOK_BACK = timedelta(minutes=20)
EVERY_SECONDS = 30.0
_Key = tuple[TenantId, str, str]


class LedgerWatch:
    """Looks at the books of each tenant that had entries lately."""

    def __init__(self, read: ReadLedger) -> None:
        self._read = read
        self._touched: dict[TenantId, float] = {}
        self._shown: set[_Key] = set()
        self._gauge = meter().create_gauge(
            "weir.ledger.imbalance",
            unit="{event}",
            description="Events by which the books of the last 20 minutes differ, harmless differences left out",
        )

    def touch(self, tenants: Iterable[TenantId]) -> None:
        """There are new entries of these."""
        now = time.monotonic()
        for tenant_id in tenants:
            self._touched[tenant_id] = now

    async def run(self, stop: asyncio.Event) -> None:
        """Look until ``stop``."""
        while not stop.is_set():
            try:
                async with asyncio.timeout(EVERY_SECONDS):
                    await stop.wait()
            except TimeoutError:
                pass
            try:
                await self.look()
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
                log.warning("the books could not be looked at", error=repr(error))

    async def look(self) -> None:
        """Set the gauge for every tenant with entries in the last ``LOOK_BACK``; what has mended itself goes back to 0."""
        oldest = time.monotonic() - LOOK_BACK.total_seconds()
        self._touched = {tenant: at for tenant, at in self._touched.items() if at >= oldest}
        found: Counter[_Key] = Counter()
        for tenant_id in sorted(self._touched):
            books = await self._read(tenant_id, LOOK_BACK)
            for minute in books.minutes:
                for one in minute.differences:
                    if one.place not in HARMLESS:
                        found[tenant_id, one.place, one.consumer] += abs(one.events)
        for key in self._shown | found.keys():
            tenant_id, place, consumer = key
            attributes = {"weir.tenant.id": tenant_id, "weir.ledger.place": place, "weir.consumer": consumer}
            self._gauge.set(found[key], attributes)
            if key not in self._shown:
                log.error("the books do not balance", events=found[key], **attributes)
        self._shown |= found.keys()
