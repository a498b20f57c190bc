"""The records that tell every service of a tenant or a key (``weir.admin.tenants.v1``, compacted)."""

from __future__ import annotations

import msgspec
from weir_common.audit import PLATFORM
from weir_common.credentials import CredentialRecord, TenantRecord
from weir_common.ids import EventId, uuid7
from weir_common.kafka.records import OutgoingRecord, event_headers
from weir_common.kafka.topics import TENANTS
from weir_common.telemetry import traceparent_of

from weir_tenant_admin.ports import StoredKey, Tenant


def tenant_record(tenant: Tenant) -> OutgoingRecord:
    """The tenant as it is now."""
    record = TenantRecord(
        tenant_id=tenant.tenant_id,
        name=tenant.name,
        tier=tenant.tier,
        vertical=tenant.vertical,
        plan=tenant.isolation,
        status=tenant.status,
        quota_events_per_second=tenant.quota_events_per_second,
        quota_bytes_per_second=tenant.quota_bytes_per_second,
        quota_events_per_day=tenant.quota_events_per_day,
    )
    return OutgoingRecord(
        topic=TENANTS,
        key=f"tenant:{tenant.tenant_id}".encode(),
        value=msgspec.json.encode(record),
        headers=event_headers(tenant.tenant_id, EventId(str(uuid7())), traceparent=traceparent_of()),
    )


def key_record(key: StoredKey) -> OutgoingRecord:
    """The key as it is now. A revoked key stays in the topic as revoked: a tombstone could be missed, this cannot."""
    record = CredentialRecord(
        key_hash=key.key_hash,
        key_id=key.key_id,
        tenant_id=key.tenant_id,
        roles=[str(role) for role in key.roles],
        expires_at=key.expires_at.timestamp() if key.expires_at is not None else None,
        revoked=key.revoked_at is not None,
    )
    return OutgoingRecord(
        topic=TENANTS,
        key=f"key:{key.key_hash}".encode(),
        value=msgspec.json.encode(record),
        headers=event_headers(key.tenant_id or PLATFORM, EventId(str(uuid7())), traceparent=traceparent_of()),
    )
