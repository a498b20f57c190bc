"""The same tests for the histories in memory and in Valkey."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Redis
from weir_common.ids import TenantId
from weir_fraud.adapters.memory_features import MemoryFeatures
from weir_fraud.adapters.valkey_features import ValkeyFeatures
from weir_fraud.domain.aggregate import HOUR, Aggregate, Entity, Measure
from weir_fraud.domain.payment import (
    OBSERVATION_BYTES,
    Payment,
    hash48,
    known_user,
    observation_of,
    observed_of,
    unpack,
    visitor,
)
from weir_fraud.ports import FeatureStore, Unobserved

Make = Callable[..., Payment]
PLAN = (Aggregate(Entity.USER, Measure.COUNT, HOUR), Aggregate(Entity.DEVICE, Measure.COUNT, HOUR))


@pytest.fixture
async def online(valkey: Redis) -> ValkeyFeatures:
    features = ValkeyFeatures(valkey, PLAN, history_ttl_seconds=60)
    await features.load()
    return features


@pytest.fixture(params=["memory", pytest.param("valkey", marks=pytest.mark.integration)])
def store(request: pytest.FixtureRequest) -> Any:
    """Each implementation of `FeatureStore`."""
    return MemoryFeatures(PLAN) if request.param == "memory" else request.getfixturevalue("online")


async def test_a_batch_is_taken_in_order_and_a_repeat_gets_its_first_answer(
    store: FeatureStore, make_payment: Make
) -> None:
    one, two, three = (make_payment(after=second) for second in range(3))
    assert await store.observe([one, two, one]) == [(1, 1), (2, 2), (1, 1)]
    assert await store.observe([three]) == [(3, 3)]
    assert await store.observe([two]) == [(2, 2)]
    assert await store.observe([]) == []


async def test_tenants_do_not_meet(store: FeatureStore, make_payment: Make, tenant: TenantId) -> None:
    mine, theirs = make_payment(), make_payment(tenant_id=TenantId(f"{tenant}-2"))
    assert await store.observe([mine, theirs]) == [(1, 1), (1, 1)]


async def test_a_missing_entity_has_no_value(store: FeatureStore, make_payment: Make) -> None:
    ((users, devices),) = await store.observe([make_payment(device=None)])
    assert users == 1
    assert math.isnan(devices)


async def test_a_person_s_history_can_be_read(store: FeatureStore, make_payment: Make, tenant: TenantId) -> None:
    payments = [
        make_payment(amount="1"),
        make_payment(after=1, amount="2"),
        make_payment(user_id=None, anonymous_id="cookie", amount="3"),
        make_payment(user_id="bob", amount="4"),
    ]
    await store.observe(payments)
    packed = await store.history(tenant, [known_user("ann"), visitor("cookie"), known_user("nobody")])
    rows = [unpack(packed[at : at + OBSERVATION_BYTES]) for at in range(0, len(packed), OBSERVATION_BYTES)]
    assert [row.amount for row in rows] == [10_000, 20_000, 30_000]
    assert rows[0].id == hash48("event", payments[0].event_id)
    assert await store.history(TenantId("other"), [known_user("ann")]) == b""


async def test_what_was_missed_is_put_back_at_its_own_time_and_once(
    store: FeatureStore, make_payment: Make, tenant: TenantId
) -> None:
    payments = [make_payment(after=second, device=None if second == 3 else "laptop") for second in range(60)]
    before, missed, after = payments[0], payments[1:-1], payments[-1]
    await store.observe([before])
    assert await store.observe([after]) == [(2, 2)]
    kept = [Unobserved(one.event_id, observation_of(one), observed_of(one).digests) for one in missed]
    await store.restore(tenant, kept)
    await store.restore(tenant, kept)
    await store.restore(tenant, [])
    # Asked again, a payment that was put back is the same one, and the next one sees them all.
    assert await store.observe([missed[0]]) == [(2, 2)]
    assert await store.observe([make_payment(after=60)]) == [(61, 60)]
