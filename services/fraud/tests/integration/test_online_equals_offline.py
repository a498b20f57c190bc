"""The Valkey function against the offline computation: two programs in two languages, made from one declaration."""

from __future__ import annotations

import math
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest
from redis.asyncio import Redis
from weir_common.ids import EventId, SubjectId, TenantId
from weir_fraud.adapters.lua_program import PROGRAM
from weir_fraud.adapters.memory_features import MemoryFeatures
from weir_fraud.adapters.valkey_features import ValkeyFeatures
from weir_fraud.domain.aggregate import DAY_SECONDS, RETENTION_SECONDS, ROWS_KEPT
from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.history import Snapshot
from weir_fraud.domain.payment import (
    LABEL_FRAUD,
    LABEL_HONEST,
    OBSERVATION_BYTES,
    Known,
    Payment,
    PaymentKind,
    microseconds,
    observed_of,
)

pytestmark = pytest.mark.integration

START = datetime(2026, 3, 1, tzinfo=UTC)


def stream(seed: int, tenant: TenantId, length: int, people: int) -> list[Payment]:
    """Random payments: repeats, late ones (up to 40 days), clocks that are ahead, same instants, and all that may be missing."""
    random = Random(seed)
    now = START
    sent: list[Payment] = []
    for _ in range(length):
        if sent and random.random() < 0.1:
            sent.append(random.choice(sent))
            continue
        now += timedelta(seconds=random.choice([0, 0, 0.000001, 1, 30, 59.999999, 60, 3_600, 86_400, 200_000]))
        late = random.choice([0, 0, 0, 0, 1, 60, 3_600, 86_400, 40 * 86_400, -3_600, -20 * 86_400])
        place = random.choice(["a1", "a2", None])
        located = random.random() < 0.8
        user = random.choice([*(f"user-{n}" for n in range(people)), None])
        sent.append(
            Payment(
                tenant_id=tenant,
                event_id=EventId(str(uuid.UUID(int=random.getrandbits(128)))),
                transaction_id="t",
                kind=PaymentKind.PURCHASE,
                at=now - timedelta(seconds=late),
                received_at=now,
                subject=SubjectId("s"),
                amount=random.choice([None, Decimal(random.randrange(10 ** random.randrange(1, 13))) / 10_000]),
                currency=random.choice(["EUR", "EUR", "USD", None]),
                user_id=user,
                anonymous_id=random.choice([None, "cookie-1"]),
                device=random.choice(["d1", "d2", "d3", None]),
                payment_token=random.choice(["t1", "t2", "t3", "t4", None]),
                declined=random.random() < 0.3,
                country=random.choice(["DE", "FR", "US", None]),
                latitude=random.uniform(-90, 90) if located else None,
                longitude=random.uniform(-180, 180) if located else None,
                address=place,
                network=random.choice(["n1", "n2", "n3", None]),
                merchant=random.choice(["m1", "m2", None]),
                product=random.choice(["p1", "p2", "p3", None]),
            )
        )
    return sent


def known(random: Random, payment: Payment) -> Known:
    """A label that comes within a month: before, at or after what the windows wait for."""
    after = random.choice([0, 1, 86_400, 7 * 86_400, 7 * 86_400, 20 * 86_400]) * 1_000_000
    return Known(random.choice([LABEL_FRAUD, LABEL_FRAUD, LABEL_HONEST]), microseconds(payment.at) + after)


def differences(catalogue: Catalogue, online: Snapshot, offline: Snapshot) -> dict[str, tuple[float, float]]:
    return {
        aggregate.name: (one, other)
        for aggregate, one, other in zip(catalogue.plan, online, offline, strict=True)
        if one != other and not (math.isnan(one) and math.isnan(other))
    }


@pytest.mark.parametrize("seed", range(12))
async def test_random_streams_give_the_same_bits(
    valkey: Redis, catalogue: Catalogue, tenant: TenantId, seed: int
) -> None:
    online = ValkeyFeatures(valkey, catalogue.plan, history_ttl_seconds=120)
    await online.load()
    offline = MemoryFeatures(catalogue.plan)
    payments = stream(seed, tenant, length=400, people=1 + seed % 4)
    random = Random(seed)
    while payments:
        size = random.choice([1, 1, 2, 17])
        batch, payments = payments[:size], payments[size:]
        for payment, one, other in zip(batch, await online.observe(batch), await offline.observe(batch), strict=True):
            assert differences(catalogue, one, other) == {}, payment
        for payment in batch:
            if random.random() < 0.4:
                news = known(random, payment)
                told = observed_of(payment)
                assert await online.label(tenant, told, news) == await offline.label(tenant, told, news)


@pytest.mark.parametrize("seed", range(12, 18))
async def test_a_replay_gives_the_same_bits(valkey: Redis, catalogue: Catalogue, tenant: TenantId, seed: int) -> None:
    """Many payments a call, each with what is known of it by now; repeats see what there is now."""
    online = ValkeyFeatures(valkey, catalogue.plan, history_ttl_seconds=120)
    await online.load()
    offline = MemoryFeatures(catalogue.plan)
    payments = stream(seed, tenant, length=500, people=1 + seed % 4)
    random = Random(seed)
    labels = [known(random, payment) if random.random() < 0.4 else None for payment in payments]
    for start in range(0, len(payments), 170):
        batch, news = payments[start : start + 170], labels[start : start + 170]
        answers = zip(batch, await online.replay(batch, news), await offline.replay(batch, news), strict=True)
        for payment, one, other in answers:
            assert differences(catalogue, one, other) == {}, payment


async def test_a_plan_without_questions_keeps_the_histories(
    valkey: Redis, catalogue: Catalogue, tenant: TenantId
) -> None:
    """The replay of old payments asks nothing; the features that are asked for afterwards are the same."""
    payments = stream(3, tenant, length=200, people=2)
    silent = ValkeyFeatures(valkey, (), history_ttl_seconds=120)
    await silent.load()
    online, offline = ValkeyFeatures(valkey, catalogue.plan, history_ttl_seconds=120), MemoryFeatures(catalogue.plan)
    await online.load()
    nothing: list[Known | None] = [None] * 199
    assert await silent.replay(payments[:199], nothing) == [()] * 199
    await offline.replay(payments[:199], nothing)
    (one,), (other,) = await online.observe(payments[199:]), await offline.observe(payments[199:])
    assert differences(catalogue, one, other) == {}


async def test_a_full_history_stays_bounded_and_equal(valkey: Redis, catalogue: Catalogue, tenant: TenantId) -> None:
    """One user, one device, more payments than are kept, some of them late: before, in the middle of and after what is kept."""
    online = ValkeyFeatures(valkey, catalogue.plan, history_ttl_seconds=120)
    await online.load()
    offline = MemoryFeatures(catalogue.plan)
    random = Random(1)
    payments = []
    for number in range(3 * ROWS_KEPT):
        late = random.choice([0, 0, 0, 100, 500, 5_000, 50_000])
        at = START + timedelta(seconds=number * 10 - late)
        payments.append(
            Payment(
                tenant_id=tenant,
                event_id=EventId(str(uuid.UUID(int=number))),
                transaction_id="t",
                kind=PaymentKind.PURCHASE,
                at=at,
                received_at=START + timedelta(seconds=number * 10),
                subject=SubjectId("s"),
                amount=Decimal(number),
                currency="EUR",
                user_id="hot",
                device="hot",
                payment_token=f"token-{number % 300}",
            )
        )
    for start in range(0, len(payments), 64):
        batch = payments[start : start + 64]
        for one, other in zip(await online.observe(batch), await offline.observe(batch), strict=True):
            assert differences(catalogue, one, other) == {}
    sizes = [await valkey.strlen(key) async for key in valkey.scan_iter(f"fraud:{{{tenant}}}:v2:*", count=1000)]
    assert max(sizes) <= OBSERVATION_BYTES * (ROWS_KEPT + 64)
    assert max(sizes) >= OBSERVATION_BYTES * ROWS_KEPT


async def test_every_key_has_a_tenant_and_an_end(valkey: Redis, catalogue: Catalogue, tenant: TenantId) -> None:
    online = ValkeyFeatures(valkey, catalogue.plan)
    await online.load()
    await online.observe(stream(5, tenant, length=20, people=2))
    keys = [key async for key in valkey.scan_iter(f"*{tenant}*", count=1000)]
    assert keys
    for key in keys:
        assert key.startswith(f"fraud:{{{tenant}}}:".encode())
        assert 0 < await valkey.ttl(key) <= RETENTION_SECONDS + DAY_SECONDS


async def test_a_repeat_adds_nothing(valkey: Redis, catalogue: Catalogue, tenant: TenantId) -> None:
    online = ValkeyFeatures(valkey, catalogue.plan)
    await online.load()
    payments = stream(7, tenant, length=1, people=1)
    first = await online.observe(payments)

    async def kept() -> dict[bytes, bytes]:
        return {key: await valkey.get(key) async for key in valkey.scan_iter(f"fraud:{{{tenant}}}:*", count=1000)}

    before = await kept()
    again = await online.observe(payments)
    assert differences(catalogue, first[0], again[0]) == {}
    assert await kept() == before


async def test_a_function_that_is_gone_is_loaded_again(valkey: Redis, catalogue: Catalogue, tenant: TenantId) -> None:
    # The mesh's own service, if it runs, misses them for a moment, too, and brings them back as well.
    online = ValkeyFeatures(valkey, catalogue.plan[:3])
    answers = await online.observe(stream(9, tenant, length=3, people=1))
    assert [len(answer) for answer in answers] == [3, 3, 3]
    await valkey.function_delete(PROGRAM.name)
    assert len(await online.observe(stream(10, tenant, length=1, people=1))) == 1
