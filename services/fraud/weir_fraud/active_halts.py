"""Of which tenants declines are halted, kept in this process.

Once a second one row is read. If its revision is another, what was known is forgotten, and each tenant's state is read with its next payment;
while nobody is halted no payment waits for anything. With the second between two tallies a halt, and its lifting, is in force
everywhere within five seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Final

import structlog
from weir_common.errors import RetryError
from weir_common.ids import TenantId

from weir_fraud.decline_metrics import DeclineMetrics
from weir_fraud.errors import DecisionStoreUnavailable
from weir_fraud.ports import DeclineStore

log = structlog.get_logger(__name__)

LOOK_SECONDS: Final = 1.0
STALE_SECONDS: Final = 15.0
MAX_TENANTS: Final = 10_000
_READ_SECONDS: Final = 2.0
_NOBODY: Final[frozenset[TenantId]] = frozenset()


class ActiveHalts:
    """See `HaltsInForce`."""

    def __init__(
        self, store: DeclineStore, metrics: DeclineMetrics, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._monotonic = monotonic
        self._revision: int | None = None
        self._anybody = True
        """Until it was looked."""
        self._kept: OrderedDict[TenantId, bool] = OrderedDict()
        self._looked_at = monotonic()

    async def __call__(self, tenants: Collection[TenantId]) -> frozenset[TenantId]:
        if not self._anybody:
            return _NOBODY
        kept = self._kept
        known = {tenant_id: kept[tenant_id] for tenant_id in tenants if tenant_id in kept}
        unread = [tenant_id for tenant_id in tenants if tenant_id not in known]
        if unread:
            halted = await self._read(unread)
            for tenant_id in unread:
                # Into what was there when the reading began: a later revision has begun anew, and nobody looks there any more.
                known[tenant_id] = kept[tenant_id] = tenant_id in halted
            while len(kept) > MAX_TENANTS:
                kept.popitem(last=False)
        return frozenset(tenant_id for tenant_id, is_halted in known.items() if is_halted)

    async def run(self, stop: asyncio.Event) -> None:
        """Look until told to stop. An outage changes nothing here; the next look comes a second later."""
        while not stop.is_set():
            try:
                await self.look()
            except (RetryError, TimeoutError) as error:
                log.warning("halts of declines were not read", reason=str(error) or type(error).__name__)
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await stop.wait()
            except TimeoutError:
                continue

    async def look(self) -> None:
        """Read the revision once; forget what is older."""
        async with asyncio.timeout(_READ_SECONDS):
            revision, halted = await self._store.revision()
        self._looked_at = self._monotonic()
        if revision == self._revision:
            return
        were = [tenant_id for tenant_id, is_halted in self._kept.items() if is_halted]
        self._kept = OrderedDict()
        self._anybody = halted > 0
        self._revision = revision
        # Of those nobody pays for, too, so that what is told of them does not stay what it was.
        still = await self._read(were) if were else _NOBODY
        for tenant_id in were:
            self._kept[tenant_id] = tenant_id in still

    async def health(self) -> str | None:
        """None while it is looked: who does not look may decline by the hundred what others have stopped."""
        age = self._monotonic() - self._looked_at
        return None if age < STALE_SECONDS else f"halts of declines were last read {age:.0f} s ago"

    async def _read(self, tenants: Collection[TenantId]) -> Collection[TenantId]:
        try:
            async with asyncio.timeout(_READ_SECONDS):
                halted = await self._store.halted(tenants)
        except TimeoutError as error:
            raise DecisionStoreUnavailable(f"halts of declines were not read in {_READ_SECONDS} s") from error
        for tenant_id in tenants:
            self._metrics.halted(tenant_id, tenant_id in halted)
        return halted
