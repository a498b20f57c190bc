"""What every registry of tenants and keys must do: the fake and PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from weir_common.api_keys import generate_api_key, hash_api_key, redact_api_key
from weir_common.auth import Role
from weir_common.ids import uuid7
from weir_tenant_admin.domain.tenant import Isolation, Status, Tier, Vertical
from weir_tenant_admin.ports import StoredKey, Tenant


def some_tenant(tenant_id, clock) -> Tenant:
    return Tenant(
        tenant_id=tenant_id,
        name="Acme",
        tier=Tier.STANDARD,
        vertical=Vertical.GROCERY,
        isolation=Isolation.POOL,
        status=Status.ACTIVE,
        quota_events_per_second=10.0,
        quota_bytes_per_second=2_000.5,
        quota_events_per_day=1_000_000,
        created_at=clock(),
        created_by="key:operator",
    )


def some_key(tenant_id, clock) -> StoredKey:
    secret = generate_api_key()
    return StoredKey(
        tenant_id=tenant_id,
        key_id=str(uuid7()),
        client="till",
        key_hash=hash_api_key(secret),
        hint=redact_api_key(secret),
        roles=(Role.ANALYST, Role.INGEST),
        created_at=clock(),
        created_by="key:operator",
        expires_at=None,
        revoked_at=None,
        last_used_at=None,
    )


async def add(store, tenant, *keys):
    async with store.writing(tenant.tenant_id) as writer:
        assert await writer.add_tenant(tenant)
        for key in keys:
            await writer.add_key(key)


async def test_what_is_written_is_read_back_whole(tenant_store, new_tenant_id, clock):
    tenant = some_tenant(new_tenant_id(), clock)
    key = some_key(tenant.tenant_id, clock)
    await add(tenant_store, tenant, key)
    assert await tenant_store.tenant(tenant.tenant_id) == tenant
    assert list(await tenant_store.keys(tenant.tenant_id)) == [key]
    assert await tenant_store.key_by_hash(key.key_hash) == key
    async with tenant_store.writing(tenant.tenant_id) as writer:
        assert list(await writer.keys_of("till")) == [key]
        assert list(await writer.keys_of("other")) == []


async def test_a_second_tenant_of_the_same_id_is_not_added(tenant_store, new_tenant_id, clock):
    tenant = some_tenant(new_tenant_id(), clock)
    await add(tenant_store, tenant)
    async with tenant_store.writing(tenant.tenant_id) as writer:
        assert not await writer.add_tenant(replace(tenant, name="Other"))
    assert (await tenant_store.tenant(tenant.tenant_id)).name == "Acme"


async def test_an_error_undoes_the_whole_transaction(tenant_store, new_tenant_id, clock):
    tenant = some_tenant(new_tenant_id(), clock)
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the transaction is what is tested
        async with tenant_store.writing(tenant.tenant_id) as writer:
            await writer.add_tenant(tenant)
            raise ZeroDivisionError
    assert await tenant_store.tenant(tenant.tenant_id) is None


async def test_revoking_keeps_the_first_time_and_knows_strangers(tenant_store, new_tenant_id, clock):
    tenant, other = some_tenant(new_tenant_id(), clock), some_tenant(new_tenant_id(), clock)
    key = some_key(tenant.tenant_id, clock)
    await add(tenant_store, tenant, key)
    await add(tenant_store, other)
    first = clock()
    async with tenant_store.writing(tenant.tenant_id) as writer:
        assert (await writer.revoke_key(key.key_id, first, "user:ann")).revoked_at == first
    clock.advance(minutes=1)
    async with tenant_store.writing(tenant.tenant_id) as writer:
        assert (await writer.revoke_key(key.key_id, clock(), "user:bo")).revoked_at == first
    async with tenant_store.writing(other.tenant_id) as writer:
        assert await writer.revoke_key(key.key_id, clock(), "user:bo") is None


async def test_pages_and_the_view_of_one_tenant(tenant_store, new_tenant_id, clock):
    tenants = sorted((some_tenant(new_tenant_id(), clock) for _ in range(3)), key=lambda tenant: tenant.tenant_id)
    for tenant in tenants:
        await add(tenant_store, tenant)
    page = await tenant_store.tenants(after=tenants[0].tenant_id, limit=2, only=None)
    assert [tenant.tenant_id for tenant in page] == [tenant.tenant_id for tenant in tenants[1:]]
    own = await tenant_store.tenants(after=None, limit=10, only=tenants[1].tenant_id)
    assert list(own) == [tenants[1]]


async def test_last_use_is_kept_to_the_minute(tenant_store, new_tenant_id, clock):
    tenant = some_tenant(new_tenant_id(), clock)
    key = some_key(tenant.tenant_id, clock)
    await add(tenant_store, tenant, key)
    await tenant_store.note_use(key, clock() + timedelta(seconds=42))
    assert (await tenant_store.key_by_hash(key.key_hash)).last_used_at == clock()


async def test_a_key_of_the_platform_has_no_tenant(tenant_store, clock):
    key = some_key(None, clock)
    async with tenant_store.writing(None) as writer:
        await writer.add_key(key)
    assert await tenant_store.key_by_hash(key.key_hash) == key
