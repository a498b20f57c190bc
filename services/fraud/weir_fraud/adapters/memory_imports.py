"""Imported payments and labels that wait for theirs, in memory, for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime

from weir_common.ids import EventId, TenantId

from weir_fraud.domain.payment import Observed, Payment, observed_of
from weir_fraud.ports import ImportedPayment, WaitingLabel


class MemoryImports:
    """`ImportedPayments` and `WaitingLabels`."""

    def __init__(self) -> None:
        self._payments: dict[tuple[TenantId, EventId], Payment] = {}
        self._waiting: list[WaitingLabel] = []
        self._places = 0

    def __len__(self) -> int:
        """Imported payments of all tenants."""
        return len(self._payments)

    async def record(self, payments: Sequence[Payment]) -> None:
        """As `record_imports`."""
        for payment in payments:
            self._payments.setdefault((payment.tenant_id, payment.event_id), payment)

    async def let_wait(self, events: Sequence[tuple[TenantId, EventId]], since: datetime) -> None:
        """As `let_wait` of PostgreSQL, whose clock says since when."""
        for tenant_id, event_id in events:
            self._places += 1
            self._waiting.append(WaitingLabel(self._places, tenant_id, event_id, since))

    async def of_subject(self, tenant_id: TenantId, users: Sequence[str]) -> AsyncIterator[ImportedPayment]:
        for (tenant, event_id), payment in sorted(self._payments.items(), key=lambda one: one[0]):
            if tenant == tenant_id and payment.user in users:
                yield ImportedPayment(event_id, payment.at)

    async def forget(self, tenant_id: TenantId, until: datetime, limit: int) -> int:
        old = [key for key, payment in self._payments.items() if key[0] == tenant_id and payment.at <= until]
        old.sort(key=lambda key: self._payments[key].at)
        for key in old[:limit]:
            del self._payments[key]
        return len(old[:limit])

    async def observed(self, tenant_id: TenantId, event_ids: Sequence[EventId]) -> Mapping[EventId, Observed]:
        return {
            event_id: observed_of(self._payments[tenant_id, event_id])
            for event_id in event_ids
            if (tenant_id, event_id) in self._payments
        }

    async def page(self, after: int, limit: int) -> list[WaitingLabel]:
        return [one for one in self._waiting if one.place > after][:limit]

    async def done(self, places: Sequence[int]) -> None:
        self._waiting = [one for one in self._waiting if one.place not in places]

    async def waiting(self) -> int:
        return len(self._waiting)
