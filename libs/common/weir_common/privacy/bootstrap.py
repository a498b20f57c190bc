"""A vault on real servers, and one in memory."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from weir_common.migrations import migrate
from weir_common.postgres import postgres_pool
from weir_common.privacy.memory_records import MemoryKeks, MemoryRecords
from weir_common.privacy.postgres_records import PACKAGE, SCHEMA, PostgresKeks, PostgresRecords
from weir_common.privacy.protect_events import ProtectEvents
from weir_common.privacy.root_key import RootKey, read_root_key
from weir_common.privacy.rotate import RotateTenantKeys
from weir_common.privacy.settings import VaultSettings
from weir_common.privacy.tenant_keys import TenantKeys
from weir_common.privacy.vault import Vault, VaultLimits
from weir_common.privacy.wrapping_key import KEY_BYTES


@dataclass(frozen=True)
class OpenVault:
    """``protect`` is for whoever takes events in, ``rotate`` for whoever keeps the keys fresh.

    ``vault`` says who is who, ``keys`` makes link tokens.
    """

    vault: Vault
    keys: TenantKeys
    protect: ProtectEvents
    rotate: RotateTenantKeys


@asynccontextmanager
async def open_vault(
    settings: VaultSettings, application: str, clock: Callable[[], datetime] | None = None
) -> AsyncIterator[OpenVault]:
    """Brings the schema up to date. `KeyUnusable` without a root key, `RetryError` if the database does not answer."""
    now = clock or _now
    root = read_root_key(settings.root_key_path)
    await migrate(settings.postgres.owner_dsn.get_secret_value(), SCHEMA, PACKAGE, consumes=False)
    async with postgres_pool(settings.postgres, application) as pool:
        records, keks = PostgresRecords(pool), PostgresKeks(pool)
        keys = TenantKeys(root, keks, records, clock=now, tenants=settings.tenants)
        limits = VaultLimits(
            settings.subjects, settings.tenants, settings.mark_seconds, settings.mark_seconds_without_answer
        )
        vault = Vault(records, keys, limits)
        protect = ProtectEvents(vault, keys, now, timeout_seconds=settings.deadline_seconds)
        yield OpenVault(vault, keys, protect, RotateTenantKeys(keys, keks, records, clock=now))


def vault_in_memory(clock: Callable[[], datetime] | None = None) -> OpenVault:
    """One with a key of its own, for tests and for trying things out: what it sealed is gone with the process."""
    now = clock or _now
    records, keks = MemoryRecords(), MemoryKeks()
    keys = TenantKeys(RootKey(os.urandom(KEY_BYTES)), keks, records, clock=now)
    vault = Vault(records, keys)
    return OpenVault(vault, keys, ProtectEvents(vault, keys, now), RotateTenantKeys(keys, keks, records, clock=now))


def _now() -> datetime:
    return datetime.now(UTC)
