"""Rotation: everything of a tenant is re-wrapped by the key of this week, and keys that nothing needs any more are destroyed.

Reading goes on meanwhile: a record is either wrapped by the older key or by the newer one, and both are there until nothing is
wrapped by the older and two epochs have passed. Run it for every tenant, daily; it may be ended at any moment and begun again.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec

from weir_common.events.privacy import Namespace
from weir_common.ids import TenantId
from weir_common.privacy.errors import KeyUnusable
from weir_common.privacy.link_tokens import NAMESPACES
from weir_common.privacy.periods import EPOCHS_KEPT, token_period_of
from weir_common.privacy.ports import KekRecords, VaultRecords
from weir_common.privacy.tenant_keys import TenantKeys

BATCH: Final = 1_000


class Rotation(msgspec.Struct, frozen=True):
    """What was done: how many records and keys were re-wrapped, which epochs' keys destroyed, which are still needed though old."""

    epoch: int
    rewrapped: int
    destroyed: tuple[int, ...]
    still_needed: tuple[int, ...]


class RotateTenantKeys:
    """The use case, for one tenant at a time."""

    def __init__(
        self, keys: TenantKeys, keks: KekRecords, records: VaultRecords, *, clock: Callable[[], datetime]
    ) -> None:
        self._keys = keys
        self._keks = keks
        self._records = records
        self._clock = clock

    async def __call__(self, tenant_id: TenantId, *, batch: int = BATCH) -> Rotation:
        """Re-wrap all in transactions of ``batch``, then destroy. `KeyUnusable` if a key does not open."""
        epoch, newest = await self._keys.current(tenant_id)
        keks = await self._keys.keks(tenant_id)

        def rewrapped(old: int, wrapped: bytes) -> tuple[int, bytes]:
            if old not in keks:
                raise KeyUnusable(f"a record is wrapped by the key of epoch {old}, which is destroyed")
            return epoch, newest.wrap(keks[old].unwrap(wrapped))

        done = 0
        while (count := await self._records.rewrap(tenant_id, epoch, batch, rewrapped)) > 0:
            done += count
        destroyed: list[int] = []
        needed: list[int] = []
        for old in sorted(known for known in keks if known <= epoch - EPOCHS_KEPT):
            if await self._records.uses_epoch(tenant_id, old):
                needed.append(old)  # another rotation holds its last records; the next run destroys it
            else:
                await self._keks.destroy_kek(tenant_id, old)
                destroyed.append(old)
        await self._keys.keks(tenant_id)
        return Rotation(epoch, done, tuple(destroyed), tuple(needed))

    async def destroy_tokens(self, tenant_id: TenantId, namespace: Namespace, *, periods_kept: int) -> int:
        """Destroy a namespace's token keys that are older than the present period and ``periods_kept`` before it; how many.

        How many are kept is the tenant's retention of fraud evidence, in quarters.
        """
        if periods_kept < 0:
            raise ValueError("at least the present period is kept")
        period = token_period_of(self._clock())
        return await self._records.destroy_tenant_keys(tenant_id, namespace, period - periods_kept)

    async def destroy_old_tokens(self, tenant_id: TenantId, *, periods_kept: int) -> int:
        """The same of every namespace. Tokens that were made by them stay where they are, and link to nothing that comes in later."""
        return sum([await self.destroy_tokens(tenant_id, each, periods_kept=periods_kept) for each in NAMESPACES])
