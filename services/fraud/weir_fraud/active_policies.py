"""The approved policy of each tenant, compiled and kept in this process.

A version is taken for the one in force for at most ``max_age_seconds`` after the reading that found it began; then the database is asked
again, and a payment waits for the answer. So with any number of instances an approved version is in force everywhere after that time,
plus that of the payments that were under way. There is nothing to listen to and so nothing that can be missed. If the database
does not answer, nothing is decided: it could not be stored either.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from weir_common.ids import TenantId

from weir_fraud.domain.policy import NO_POLICY, Policy
from weir_fraud.domain.policy_judgement import WITHOUT_POLICY, Bound, Condition, ConditionFailed, PolicyInForce
from weir_fraud.errors import PolicyStoreUnavailable
from weir_fraud.ports import ConditionFault, Conditions, PolicyStore

log = structlog.get_logger(__name__)

MAX_AGE_SECONDS: Final = 2.0
MAX_WEIGHT: Final = 200_000
"""Entries, rules and tenants that are kept: about 100 MB of the largest policies."""
_READ_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class _Kept:
    policy: PolicyInForce
    read_at: float
    weight: int


class ActivePolicies:
    """See `PoliciesInForce`."""

    def __init__(
        self,
        store: PolicyStore,
        conditions: Conditions,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        max_age_seconds: float = MAX_AGE_SECONDS,
        max_weight: int = MAX_WEIGHT,
    ) -> None:
        self._store = store
        self._conditions = conditions
        self._monotonic = monotonic
        self._max_age_seconds = max_age_seconds
        self._max_weight = max_weight
        self._kept: OrderedDict[TenantId, _Kept] = OrderedDict()
        self._weight = 0
        self._reading: dict[TenantId, tuple[float, asyncio.Task[dict[TenantId, PolicyInForce]]]] = {}

    async def __call__(self, tenants: Collection[TenantId]) -> Mapping[TenantId, PolicyInForce]:
        now = self._monotonic()
        found: dict[TenantId, PolicyInForce] = {}
        waiting: dict[asyncio.Task[dict[TenantId, PolicyInForce]], list[TenantId]] = {}
        unread: list[TenantId] = []
        for tenant_id in tenants:
            kept = self._kept.get(tenant_id)
            if kept is not None and now - kept.read_at < self._max_age_seconds:
                self._kept.move_to_end(tenant_id)
                found[tenant_id] = kept.policy
                continue
            reading = self._reading.get(tenant_id)
            # One that began longer ago may give a version that was superseded longer ago than is promised.
            if reading is not None and now - reading[0] < self._max_age_seconds:
                waiting.setdefault(reading[1], []).append(tenant_id)
            else:
                unread.append(tenant_id)
        if unread:
            task = asyncio.create_task(self._read(unread, now), name="policies in force")
            task.add_done_callback(_looked_at)
            for tenant_id in unread:
                self._reading[tenant_id] = (now, task)
            waiting[task] = unread
        for task, of in waiting.items():
            # Shielded: who asked first may be out of time while others still wait for the same answer.
            read = await asyncio.shield(task)
            found |= {tenant_id: read[tenant_id] for tenant_id in of}
        return found

    async def _read(self, tenants: Sequence[TenantId], began: float) -> dict[TenantId, PolicyInForce]:
        known = {tenant_id: kept.policy for tenant_id in tenants if (kept := self._kept.get(tenant_id)) is not None}
        versions = {tenant_id: known[tenant_id].version if tenant_id in known else NO_POLICY for tenant_id in tenants}
        try:
            async with asyncio.timeout(_READ_SECONDS):
                current = await self._store.active_versions(versions)
            read: dict[TenantId, PolicyInForce] = {}
            for tenant_id in tenants:
                version, document = current[tenant_id]
                if version == NO_POLICY:
                    read[tenant_id] = WITHOUT_POLICY
                elif document is None:
                    read[tenant_id] = known[tenant_id]
                else:
                    # Up to 20 ms for fifty rules and ten thousand entries: once a version, and not on the loop.
                    read[tenant_id] = await asyncio.to_thread(in_force, version, document, self._conditions)
        except TimeoutError as error:
            raise PolicyStoreUnavailable(f"the policies in force were not read in {_READ_SECONDS} s") from error
        finally:
            for tenant_id in tenants:
                reading = self._reading.get(tenant_id)
                if reading is not None and reading[1] is asyncio.current_task():
                    del self._reading[tenant_id]
        for tenant_id, policy in read.items():
            self._keep(tenant_id, policy, began)
        return read

    def _keep(self, tenant_id: TenantId, policy: PolicyInForce, began: float) -> None:
        before = self._kept.get(tenant_id)
        if before is not None:
            if before.read_at > began:
                return  # a reading that began later was faster
            self._weight -= before.weight
        weight = 1 + len(policy.policy.rules) + len(policy.policy.allow) + len(policy.policy.deny)
        self._kept[tenant_id] = _Kept(policy, began, weight)
        self._kept.move_to_end(tenant_id)
        self._weight += weight
        while self._weight > self._max_weight and len(self._kept) > 1:
            _, gone = self._kept.popitem(last=False)
            self._weight -= gone.weight


def in_force(version: int, policy: Policy, conditions: Conditions) -> PolicyInForce:
    """A policy with its rules compiled.

    A rule that this release does not compile (of a feature that is no longer defined, say) is one that can never be evaluated.
    """
    compiled: list[Condition] = []
    for rule in policy.rules:
        condition = conditions.compile(rule.expression)
        if isinstance(condition, ConditionFault):
            log.warning("a rule of an approved policy does not compile", rule=rule.name, fault=condition.what)
            condition = _never(condition.what)
        compiled.append(condition)
    return PolicyInForce(version, policy, compiled, conditions.bind)


def _never(what: str) -> Condition:
    def fails(bound: Bound) -> bool:
        raise ConditionFailed(what)

    return fails


def _looked_at(task: asyncio.Task[dict[TenantId, PolicyInForce]]) -> None:
    """Whoever waited has the error; nobody may wait any more, which is no fault."""
    if not task.cancelled():
        task.exception()
