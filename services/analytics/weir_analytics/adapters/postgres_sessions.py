"""Device sessions read from the books, cut from the activity as it is now."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import asyncpg
from weir_common.ids import TenantId
from weir_common.postgres import tenant_transaction

from weir_analytics.adapters.postgres_books import PostgresTenantBooks
from weir_analytics.domain.sessions import DeviceSession, position, split


class PostgresSessions:
    """Implements `weir_analytics.ports.SessionReader`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def sessions(self, tenant_id: TenantId, devices: Collection[str]) -> Mapping[str, Sequence[DeviceSession]]:
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            histories = await PostgresTenantBooks(connection, tenant_id).histories(devices, None)
        return {device: split(sorted(history.activities, key=position)) for device, history in histories.items()}
