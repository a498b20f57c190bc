"""Decisions in memory, for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime

from weir_common.ids import EventId, TenantId

from weir_fraud.domain.decision import Decision
from weir_fraud.domain.model import ModelCard, Thresholds
from weir_fraud.domain.payment import Observation
from weir_fraud.ports import Deferred, PutBack, Unobserved


class MemoryDecisions:
    """`DecisionStore`, `UnobservedPayments` and `DeferredExplanations`. `announced` is what the outbox would hold."""

    def __init__(self) -> None:
        self._decisions: dict[tuple[TenantId, EventId], Decision] = {}
        self._models: dict[str, Thresholds] = {}
        self.announced: list[Decision] = []
        self._deferred: list[Deferred] = []
        self._places = 0
        self._unobserved: dict[tuple[TenantId, EventId], Observation] = {}

    async def register(self, card: ModelCard) -> None:
        self._models.setdefault(card.version, card.thresholds)

    async def find(self, tenant_id: TenantId, event_id: EventId) -> Decision | None:
        return self._decisions.get((tenant_id, event_id))

    async def record(self, decision: Decision) -> Decision:
        key = (decision.tenant_id, decision.event_id)
        if key not in self._decisions:
            self._decisions[key] = decision
            self.announced.append(decision)
            if decision.unobserved is not None:
                self._unobserved[key] = decision.unobserved
            if not decision.is_explained:
                self._wait(*key)
        return self._decisions[key]

    async def record_all(self, tenant_id: TenantId, decisions: Sequence[Decision]) -> list[Decision]:
        return [await self.record(decision) for decision in decisions]

    async def of_subject(
        self, tenant_id: TenantId, user_ids: Sequence[str], anonymous_ids: Sequence[str]
    ) -> AsyncIterator[Decision]:
        for (tenant, _), decision in sorted(self._decisions.items()):
            if tenant == tenant_id and (decision.user_id in user_ids or decision.anonymous_id in anonymous_ids):
                yield decision

    async def unobserved(
        self, tenant_id: TenantId, user_ids: Sequence[str], anonymous_ids: Sequence[str]
    ) -> list[Observation]:
        about = [one.event_id async for one in self.of_subject(tenant_id, user_ids, anonymous_ids)]
        found = [self._unobserved[tenant_id, event] for event in about if (tenant_id, event) in self._unobserved]
        return sorted(found, key=lambda one: one.at)

    async def take(self, limit: int, put_back: PutBack) -> int:
        taken = list(self._unobserved.items())[:limit]
        for tenant_id in dict.fromkeys(tenant_id for (tenant_id, _), _ in taken):
            await put_back(
                tenant_id,
                [
                    Unobserved(event_id, observation, self._decisions[owner, event_id].histories)
                    for (owner, event_id), observation in taken
                    if owner == tenant_id
                ],
            )
        for key, _ in taken:
            del self._unobserved[key]
        return len(taken)

    async def waiting(self) -> int:
        return len(self._unobserved)

    async def oldest(self, limit: int) -> list[Deferred]:
        return self._deferred[:limit]

    async def fill_in(self, deferred: Deferred, decision: Decision | None) -> None:
        key = (deferred.tenant_id, deferred.event_id)
        if decision is not None and not self._decisions[key].is_explained:
            self._decisions[key] = replace(
                self._decisions[key], contributions=decision.contributions, is_explained=True, announced_codes=None
            )
        self._deferred = [one for one in self._deferred if one != deferred]

    async def put_off(self, deferred: Deferred) -> None:
        self._deferred.remove(deferred)
        self._wait(deferred.tenant_id, deferred.event_id)

    async def deferred(self) -> int:
        return len(self._deferred)

    def _wait(self, tenant_id: TenantId, event_id: EventId) -> None:
        self._places += 1
        self._deferred.append(Deferred(self._places, tenant_id, event_id))

    async def newest(
        self, tenant_id: TenantId, since: datetime, before: tuple[datetime, EventId] | None, limit: int
    ) -> list[tuple[Decision, Thresholds]]:
        found = [
            decision
            for (tenant, _), decision in self._decisions.items()
            if tenant == tenant_id
            and decision.decided_at >= since
            and (before is None or (decision.decided_at, decision.event_id) < before)
        ]
        found.sort(key=lambda one: (one.decided_at, one.event_id), reverse=True)
        return [(decision, self._models[decision.model_version]) for decision in found[:limit]]
