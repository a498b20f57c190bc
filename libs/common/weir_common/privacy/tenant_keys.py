"""The tenants' keys, unwrapped on demand and kept for a while: by epoch for wrapping, the blind index, the link tokens."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from typing import Final

from weir_common.events.privacy import Namespace
from weir_common.ids import TenantId
from weir_common.privacy.errors import KeyDestroyed, VaultUnavailable
from weir_common.privacy.keyed_hash import KeyedHash
from weir_common.privacy.link_tokens import NAMESPACES, LinkTokens
from weir_common.privacy.periods import epoch_of, token_period_of
from weir_common.privacy.ports import KekRecords, VaultRecords, WrappedTenantKey
from weir_common.privacy.recently_used import RecentlyUsed
from weir_common.privacy.root_key import RootKey
from weir_common.privacy.wrapping_key import KEY_BYTES, WrappingKey

BLIND_INDEX: Final = "blind_index"
FOR_EVER: Final = -1
"""The period of a key that is not replaced: with another blind index everybody would be somebody else."""


class TenantKeys:
    """``tenants``: of how many the keys are kept unwrapped."""

    def __init__(
        self,
        root: RootKey,
        keks: KekRecords,
        records: VaultRecords,
        *,
        clock: Callable[[], datetime],
        tenants: int = 10_000,
    ) -> None:
        self._root = root
        self._kek_records = keks
        self._records = records
        self._clock = clock
        self._keks: RecentlyUsed[TenantId, dict[int, WrappingKey]] = RecentlyUsed(tenants)
        self._blind: RecentlyUsed[TenantId, KeyedHash] = RecentlyUsed(tenants)
        self._tokens: RecentlyUsed[TenantId, LinkTokens] = RecentlyUsed(tenants)

    async def current(self, tenant_id: TenantId) -> tuple[int, WrappingKey]:
        """The epoch of now and the key that wraps in it; made if it is the first time."""
        epoch = epoch_of(self._clock())
        known = self._keks.get(tenant_id)
        if known is None or epoch not in known:
            known = await self.keks(tenant_id)
        if epoch not in known:
            wrapping = self._root.wrapping_key(tenant_id, epoch)
            draft = wrapping.wrap(os.urandom(KEY_BYTES))
            first = await self._kek_records.add_kek(tenant_id, epoch, draft)
            known = {**known, epoch: WrappingKey(wrapping.unwrap(first))}
            self._keks.put(tenant_id, known)
        return epoch, known[epoch]

    async def kek(self, tenant_id: TenantId, epoch: int) -> WrappingKey:
        """The key of an epoch. `KeyDestroyed` if it is no more."""
        known = self._keks.get(tenant_id)
        if known is None or epoch not in known:
            known = await self.keks(tenant_id)
        if epoch not in known:
            raise KeyDestroyed(f"the key of epoch {epoch} is destroyed")
        return known[epoch]

    async def keks(self, tenant_id: TenantId) -> dict[int, WrappingKey]:
        """All keys that there are now, by epoch; those that were destroyed since are forgotten."""
        wrapped = await self._kek_records.keks(tenant_id)
        found = {
            epoch: WrappingKey(self._root.wrapping_key(tenant_id, epoch).unwrap(key)) for epoch, key in wrapped.items()
        }
        self._keks.put(tenant_id, found)
        return found

    async def blind_index(self, tenant_id: TenantId) -> KeyedHash:
        """What turns an identifier into its blind index."""
        found = self._blind.get(tenant_id)
        if found is None:
            keys = await self._of_period(tenant_id, (BLIND_INDEX,), FOR_EVER)
            found = KeyedHash(keys[BLIND_INDEX])
            self._blind.put(tenant_id, found)
        return found

    async def link_tokens(self, tenant_id: TenantId) -> LinkTokens:
        """The tokens of the period of now."""
        period = token_period_of(self._clock())
        found = self._tokens.get(tenant_id)
        if found is None or found.period != period:
            keys = await self._of_period(tenant_id, NAMESPACES, period)
            of_namespace: dict[Namespace, bytes] = {namespace: keys[namespace] for namespace in NAMESPACES}
            found = LinkTokens(of_namespace, period)
            self._tokens.put(tenant_id, found)
        return found

    async def link_tokens_to_come(self, tenant_id: TenantId) -> LinkTokens:
        """The tokens of the period after this one, for what must still be recognised then; its keys are made now.

        Never from a cache: asked for when people write lists, not when events come in.
        """
        period = token_period_of(self._clock()) + 1
        keys = await self._of_period(tenant_id, NAMESPACES, period)
        return LinkTokens({namespace: keys[namespace] for namespace in NAMESPACES}, period)

    async def _of_period(self, tenant_id: TenantId, purposes: tuple[str, ...], period: int) -> dict[str, bytes]:
        """The keys of all ``purposes`` by purpose, made where there is none."""
        found = {key.purpose: key for key in await self._records.tenant_keys(tenant_id, period)}
        if missing := [purpose for purpose in purposes if purpose not in found]:
            epoch, kek = await self.current(tenant_id)
            drafts = [WrappedTenantKey(purpose, period, epoch, kek.wrap(os.urandom(KEY_BYTES))) for purpose in missing]
            found |= {key.purpose: key for key in await self._records.add_tenant_keys(tenant_id, drafts)}
        if gone := set(purposes) - found.keys():
            raise VaultUnavailable(f"tenant keys were destroyed while they were made: {', '.join(sorted(gone))}")
        return {
            purpose: (await self.kek(tenant_id, found[purpose].epoch)).unwrap(found[purpose].wrapped_key)
            for purpose in purposes
        }
