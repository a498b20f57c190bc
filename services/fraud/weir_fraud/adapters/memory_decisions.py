"""Decisions in memory, for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from weir_common.ids import EventId, TenantId

from weir_fraud.domain.decision import Decision


class MemoryDecisions:
    """`announced` is what the outbox would hold."""

    def __init__(self) -> None:
        self._decisions: dict[tuple[TenantId, EventId], Decision] = {}
        self.announced: list[Decision] = []

    async def find(self, tenant_id: TenantId, event_id: EventId) -> Decision | None:
        return self._decisions.get((tenant_id, event_id))

    async def record(self, decision: Decision) -> Decision:
        key = (decision.tenant_id, decision.event_id)
        if key not in self._decisions:
            self._decisions[key] = decision
            self.announced.append(decision)
        return self._decisions[key]

    async def of_subject(
        self, tenant_id: TenantId, user_ids: Sequence[str], anonymous_ids: Sequence[str]
    ) -> AsyncIterator[Decision]:
        for (tenant, _), decision in sorted(self._decisions.items()):
            if tenant == tenant_id and (decision.user_id in user_ids or decision.anonymous_id in anonymous_ids):
                yield decision
