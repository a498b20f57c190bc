"""Make a stored decision again and see whether it is the same to the last bit."""

from __future__ import annotations

import asyncio

from weir_common.ids import EventId, TenantId
from weir_common.problems import NotFound

from weir_fraud.active_policies import in_force
from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.policy import NO_POLICY
from weir_fraud.domain.policy_judgement import WITHOUT_POLICY, PolicyInForce
from weir_fraud.domain.replay import Replay, replay, vector_of
from weir_fraud.errors import PolicyVersionMissing
from weir_fraud.ports import Conditions, DecisionStore, ModelVersions, PolicyStore


class ReplayDecision:
    """The use case. Reads only."""

    def __init__(
        self,
        decisions: DecisionStore,
        policies: PolicyStore,
        conditions: Conditions,
        models: ModelVersions,
        catalogue: Catalogue,
    ) -> None:
        self._decisions = decisions
        self._policies = policies
        self._conditions = conditions
        self._models = models
        self._catalogue = catalogue

    async def __call__(self, tenant_id: TenantId, event_id: EventId) -> Replay:
        """`NotFound` if there is no decision, `ModelVersionMissing` and `PolicyVersionMissing` (stop) if it cannot be recomputed.

        `ExplanationError` (stop) if the model's explanation of the snapshot does not add up. `RetryError` when a store is away.
        """
        decision = await self._decisions.find(tenant_id, event_id)
        if decision is None:
            raise NotFound(f"There is no decision on event {event_id}.")
        model = await self._models.get(decision.model_version)
        policy = await self._policy(tenant_id, decision.policy_version)
        (scored,) = await asyncio.to_thread(model.score, [vector_of(decision)])
        return replay(decision, scored, model.card, self._catalogue, policy)

    async def _policy(self, tenant_id: TenantId, version: int) -> PolicyInForce:
        if version == NO_POLICY:
            return WITHOUT_POLICY
        found = await self._policies.version(tenant_id, version)
        if found is None:
            raise PolicyVersionMissing(f"Version {version} of the policy of {tenant_id} is not kept.")
        return await asyncio.to_thread(in_force, version, found.policy, self._conditions)
