"""The online histories in memory, by the offline computation: for tests, and for what-if runs without a server."""

from __future__ import annotations

from collections.abc import Sequence

from weir_common.ids import EventId, TenantId

from weir_fraud.domain.aggregate import Aggregate
from weir_fraud.domain.history import Histories, Snapshot
from weir_fraud.domain.payment import Known, Observed, Payment, hash48, observation_of, pack
from weir_fraud.ports import Unobserved


class MemoryFeatures:
    """Snapshots never expire here."""

    def __init__(self, plan: Sequence[Aggregate]) -> None:
        self._plan = tuple(plan)
        self._tenants: dict[TenantId, Histories] = {}
        self._snapshots: dict[tuple[TenantId, EventId], Snapshot] = {}

    async def observe(self, payments: Sequence[Payment]) -> list[Snapshot]:
        answers = []
        for payment in payments:
            key = (payment.tenant_id, payment.event_id)
            if key not in self._snapshots:
                histories = self._tenants.setdefault(payment.tenant_id, Histories(self._plan))
                self._snapshots[key] = histories.observe(observation_of(payment))
            answers.append(self._snapshots[key])
        return answers

    async def replay(self, payments: Sequence[Payment], labels: Sequence[Known | None]) -> list[Snapshot]:
        answers = []
        for payment, known in zip(payments, labels, strict=True):
            own = observation_of(payment)
            if known is not None:
                own = own._replace(label=known.label, label_at=known.at)
            answers.append(self._tenants.setdefault(payment.tenant_id, Histories(self._plan)).observe(own))
        return answers

    async def restore(self, tenant_id: TenantId, kept: Sequence[Unobserved]) -> None:
        for one in kept:
            self._tenants.setdefault(tenant_id, Histories(self._plan)).observe(one.observation)

    async def label(self, tenant_id: TenantId, observed: Observed, known: Known) -> bool:
        histories = self._tenants.get(tenant_id)
        return histories is not None and histories.label(observed, known)

    async def history(self, tenant_id: TenantId, users: Sequence[str]) -> bytes:
        histories = self._tenants.get(tenant_id)
        if histories is None:
            return b""
        return b"".join(pack(row) for user in users for row in histories.of_user(hash48("user", user)))
