"""What is approved is in force soon, compiled once, and forgotten within a bound."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from weir_common.audit import AuditEntry
from weir_common.ids import TenantId
from weir_fraud.active_policies import ActivePolicies
from weir_fraud.adapters.cel_conditions import CelConditions
from weir_fraud.adapters.memory_policies import MemoryPolicies
from weir_fraud.domain.outcome import Outcome
from weir_fraud.domain.policy import Policy, Rule
from weir_fraud.domain.policy_judgement import WITHOUT_POLICY, Condition
from weir_fraud.errors import PolicyStoreUnavailable
from weir_fraud.ports import ConditionFault

AT = datetime(2026, 3, 4, tzinfo=UTC)
SHOP = TenantId("shop")


def audited(number: int) -> AuditEntry:
    return AuditEntry(
        tenant_id=SHOP, actor="ann", actor_kind="person", action="x", object_ref=str(number), outcome="success"
    )


class Counted(MemoryPolicies):
    def __init__(self) -> None:
        super().__init__()
        self.reads: list[dict[TenantId, int]] = []
        self.away = False

    async def active_versions(self, known: Mapping[TenantId, int]) -> Mapping[TenantId, tuple[int, Policy | None]]:
        self.reads.append(dict(known))
        await asyncio.sleep(0)
        if self.away:
            raise PolicyStoreUnavailable("away")
        return await super().active_versions(known)

    async def put_in_force(self, tenant_id: TenantId, expression: str = "score > 0.5") -> int:
        rule = Rule(name="one", expression=expression, action=Outcome.REVIEW, reason="r")
        draft = await self.save_draft(tenant_id, Policy(rules=(rule,)), "ann", AT, audited)
        made = await self.propose_draft(tenant_id, draft.revision, "ann", "", AT, audited)
        return (await self.decide(tenant_id, made.version, True, "bob", "", AT, audited)).version


class CountingConditions:
    def __init__(self, real: CelConditions) -> None:
        self._real = real
        self.bind = real.bind
        self.compiled = 0

    def compile(self, expression: str) -> Condition | ConditionFault:
        self.compiled += 1
        return self._real.compile(expression)


@pytest.fixture
def store() -> Counted:
    return Counted()


@pytest.fixture
def counting(conditions: CelConditions) -> CountingConditions:
    return CountingConditions(conditions)


async def test_a_version_is_in_force_within_two_seconds_and_compiled_once(
    store: Counted, counting: CountingConditions
) -> None:
    time = 100.0
    policies = ActivePolicies(store, counting, monotonic=lambda: time)
    assert (await policies({SHOP}))[SHOP] is WITHOUT_POLICY
    await store.put_in_force(SHOP)
    time += 1.99
    assert (await policies({SHOP}))[SHOP].version == 0
    assert len(store.reads) == 1
    time += 0.02
    assert [(await policies({SHOP}))[SHOP].version for _ in range(3)] == [1, 1, 1]
    time += 10
    assert (await policies({SHOP}))[SHOP].version == 1
    assert store.reads == [{SHOP: 0}, {SHOP: 0}, {SHOP: 1}], "the known version is not sent again"
    assert counting.compiled == 1
    await store.put_in_force(SHOP)
    time += 10
    assert (await policies({SHOP}))[SHOP].version == 2


async def test_who_asks_at_once_waits_for_one_answer(store: Counted, counting: CountingConditions) -> None:
    await store.put_in_force(SHOP)
    policies = ActivePolicies(store, counting, monotonic=lambda: 0.0)
    first = asyncio.create_task(policies({SHOP}))  # type: ignore[arg-type]
    others = [asyncio.create_task(policies({SHOP})) for _ in range(20)]  # type: ignore[arg-type]
    await asyncio.sleep(0)
    first.cancel()
    assert {answer[SHOP].version for answer in await asyncio.gather(*others)} == {1}
    assert (len(store.reads), counting.compiled) == (1, 1)
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_when_it_is_not_known_which_is_in_force_nothing_is_decided(
    store: Counted, counting: CountingConditions
) -> None:
    time = 0.0
    policies = ActivePolicies(store, counting, monotonic=lambda: time)
    await policies({SHOP})
    store.away = True
    time = 3.0
    for _ in range(2):
        with pytest.raises(PolicyStoreUnavailable):
            await policies({SHOP})
    store.away = False
    assert (await policies({SHOP}))[SHOP] is WITHOUT_POLICY


async def test_tenants_have_their_own_and_the_cache_is_bounded(store: Counted, counting: CountingConditions) -> None:
    tenants = [TenantId(f"shop-{number}") for number in range(10)]
    for tenant in tenants[:5]:
        await store.put_in_force(tenant)
    policies = ActivePolicies(store, counting, monotonic=lambda: 0.0, max_weight=8)
    found = await policies(tenants)
    assert [found[tenant].version for tenant in tenants] == [1] * 5 + [0] * 5
    await policies(tenants)
    # Five of weight one and one of weight two were kept, seven of eight.
    assert set(store.reads[-1]) == set(tenants[:4])
