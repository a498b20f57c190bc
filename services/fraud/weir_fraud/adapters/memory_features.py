"""The online histories in memory, by the offline computation: for tests, and for what-if runs without a server."""

from __future__ import annotations

from collections.abc import Sequence

from weir_common.ids import TenantId

from weir_fraud.domain.aggregate import Aggregate
from weir_fraud.domain.history import Histories, Snapshot
from weir_fraud.domain.payment import Known, Observed, Payment, hash48, observation_of, pack
from weir_fraud.ports import Unobserved


class MemoryFeatures:
    """See `FeatureStore`."""

    def __init__(self, plan: Sequence[Aggregate]) -> None:
        self._plan = tuple(plan)
        self._tenants: dict[TenantId, Histories] = {}

    async def observe(self, payments: Sequence[Payment]) -> list[Snapshot]:
        return await self.replay(payments, [None] * len(payments))

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
