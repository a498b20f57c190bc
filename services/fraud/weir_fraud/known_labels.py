"""What has become known of payments of any tenants, one question a tenant."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from weir_common.ids import EventId, TenantId

from weir_fraud.domain.label import Label, known_of
from weir_fraud.domain.payment import Known, Payment

LabelsOf = Callable[[TenantId, Sequence[EventId]], Awaitable[Mapping[EventId, Sequence[Label]]]]
"""`LabelStore.labels`, or the same within a transaction."""


async def known_labels(labels_of: LabelsOf, payments: Sequence[Payment]) -> list[Known | None]:
    """By now, one answer a payment, in order."""
    by_tenant: dict[TenantId, list[EventId]] = {}
    for payment in payments:
        by_tenant.setdefault(payment.tenant_id, []).append(payment.event_id)
    known: dict[tuple[TenantId, EventId], Known] = {}
    for tenant_id, event_ids in by_tenant.items():
        for event_id, labels in (await labels_of(tenant_id, event_ids)).items():
            known[(tenant_id, event_id)] = known_of(labels)
    return [known.get((payment.tenant_id, payment.event_id)) for payment in payments]
