"""A vault on real servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from redis.asyncio import Redis

from weir_common.migrations import migrate
from weir_common.postgres import postgres_pool
from weir_common.privacy.postgres_records import PACKAGE, SCHEMA, PostgresKeks, PostgresRecords
from weir_common.privacy.root_key import read_root_key
from weir_common.privacy.rotate import RotateTenantKeys
from weir_common.privacy.settings import VaultSettings
from weir_common.privacy.tenant_keys import TenantKeys
from weir_common.privacy.valkey_wrapped_keys import ValkeyWrappedKeys
from weir_common.privacy.vault import Vault, VaultLimits


@dataclass(frozen=True)
class OpenVault:
    """``vault`` says who is who, ``keys`` makes link tokens, ``rotate`` is for whoever keeps the keys fresh."""

    vault: Vault
    keys: TenantKeys
    rotate: RotateTenantKeys


@asynccontextmanager
async def open_vault(
    settings: VaultSettings, valkey: Redis, application: str, clock: Callable[[], datetime] | None = None
) -> AsyncIterator[OpenVault]:
    """Brings the schema up to date. `KeyUnusable` without a root key, `RetryError` if the database does not answer."""
    now = clock or _now
    root = read_root_key(settings.root_key_path)
    await migrate(settings.postgres.owner_dsn.get_secret_value(), SCHEMA, PACKAGE, consumes=False)
    async with postgres_pool(settings.postgres, application) as pool:
        records, keks = PostgresRecords(pool), PostgresKeks(pool)
        keys = TenantKeys(root, keks, records, clock=now, tenants=settings.tenants)
        shared = ValkeyWrappedKeys(
            valkey, ttl_seconds=settings.shared_ttl_seconds, timeout_seconds=settings.shared_timeout_seconds
        )
        limits = VaultLimits(
            settings.subjects, settings.tenants, settings.mark_seconds, settings.mark_seconds_without_answer
        )
        yield OpenVault(Vault(records, shared, keys, limits), keys, RotateTenantKeys(keys, keks, records, clock=now))


def _now() -> datetime:
    return datetime.now(UTC)
