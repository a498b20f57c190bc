"""Labels that came before their payment, and imports that no history has any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from weir_common.ids import TenantId
from weir_fraud.adapters.memory_cases import MemoryCases
from weir_fraud.adapters.memory_decisions import MemoryDecisions
from weir_fraud.adapters.memory_features import MemoryFeatures
from weir_fraud.adapters.memory_imports import MemoryImports
from weir_fraud.domain.label import Label, LabelKind, LabelSource
from weir_fraud.domain.payment import LABEL_FRAUD, OBSERVATION_BYTES, Payment, unpack
from weir_fraud.errors import FeatureStoreUnavailable
from weir_fraud.forget_imports import CHUNK, ForgetImports
from weir_fraud.label_later import BATCH, PATIENCE, LabelLater
from weir_fraud.label_metrics import LabelMetrics

Make = Callable[..., Payment]


class Clock:
    def __init__(self, at: datetime) -> None:
        self.now = at

    def __call__(self) -> datetime:
        return self.now


class MaybeAway(MemoryFeatures):
    away = False

    async def label(self, *arguments: object) -> bool:
        if self.away:
            raise FeatureStoreUnavailable("Valkey did not answer")
        return await super().label(*arguments)  # type: ignore[arg-type]


@pytest.fixture
def time(clock: Callable[[], datetime]) -> Clock:
    return Clock(clock())


@pytest.fixture
def store() -> MemoryImports:
    return MemoryImports()


@pytest.fixture
def past() -> MaybeAway:
    return MaybeAway(())


@pytest.fixture
def labels() -> MemoryCases:
    return MemoryCases(MemoryDecisions())


@pytest.fixture
def later(store: MemoryImports, past: MaybeAway, labels: MemoryCases, time: Clock) -> LabelLater:
    return LabelLater(store, past, labels, LabelMetrics(), time)


@pytest.fixture
def tell(store: MemoryImports, labels: MemoryCases, time: Clock) -> Callable[..., object]:
    """A chargeback of a payment that nobody knows."""

    async def told(payment: Payment) -> None:
        label = Label(
            tenant_id=payment.tenant_id,
            event_id=payment.event_id,
            kind=LabelKind.CHARGEBACK,
            occurred_at=time.now,
            recorded_at=time.now,
            recorded_by="test",
            source=LabelSource.FEEDBACK,
        )
        async with labels.work(payment.tenant_id) as work:
            await work.add_labels([label])
        await store.let_wait([(payment.tenant_id, payment.event_id)], time.now)

    return told


async def frauds(past: MemoryFeatures, payment: Payment) -> int:
    packed = await past.history(payment.tenant_id, [str(payment.user)])
    rows = [unpack(packed[at : at + OBSERVATION_BYTES]) for at in range(0, len(packed), OBSERVATION_BYTES)]
    return sum(row.label == LABEL_FRAUD for row in rows)


async def test_a_label_waits_until_its_payment_comes(
    later: LabelLater, store: MemoryImports, past: MaybeAway, tell: Callable[..., object], make_payment: Make
) -> None:
    """And no longer; that of another tenant on the same event goes on waiting."""
    payment = make_payment(user_id="ann")
    other = make_payment(user_id="ann", tenant_id=TenantId("other"), event_id=payment.event_id)
    await tell(other)  # type: ignore[misc]
    await tell(payment)  # type: ignore[misc]
    assert await later.apply() == 0
    await past.replay([payment], [None])
    await store.record([payment])
    assert await later.apply() == 1
    assert await frauds(past, payment) == 1
    assert [one.tenant_id for one in await store.page(0, 10)] == [TenantId("other")]
    assert await later.apply() == 0


async def test_histories_that_are_away_are_waited_for(
    later: LabelLater, store: MemoryImports, past: MaybeAway, tell: Callable[..., object], make_payment: Make
) -> None:
    payment = make_payment(user_id="ann")
    await tell(payment)  # type: ignore[misc]
    await past.replay([payment], [None])
    await store.record([payment])
    past.away = True
    with pytest.raises(FeatureStoreUnavailable):
        await later.apply()
    past.away = False
    assert await later.apply() == 1
    assert await frauds(past, payment) == 1


async def test_who_waits_at_the_end_is_not_kept_waiting_by_those_in_front(
    later: LabelLater, store: MemoryImports, past: MaybeAway, tell: Callable[..., object], make_payment: Make
) -> None:
    payment = make_payment(user_id="ann")
    await store.let_wait([(payment.tenant_id, make_payment().event_id) for _ in range(BATCH)], payment.at)
    await tell(payment)  # type: ignore[misc]
    await past.replay([payment], [None])
    await store.record([payment])
    assert [await later.apply(), await later.apply(), await later.apply()] == [0, 1, 0]
    assert await store.waiting() == BATCH


async def test_a_label_does_not_wait_for_ever(
    later: LabelLater, store: MemoryImports, time: Clock, tell: Callable[..., object], make_payment: Make
) -> None:
    await tell(make_payment())  # type: ignore[misc]
    time.now += PATIENCE - timedelta(seconds=1)
    await later.apply()
    assert await store.waiting() == 1
    time.now += timedelta(seconds=1)
    await later.apply()
    assert await store.waiting() == 0


async def test_imports_are_forgotten_with_the_histories(
    store: MemoryImports, time: Clock, tenant: TenantId, make_payment: Make
) -> None:
    payments = [make_payment(after=number / 1000) for number in range(CHUNK + 5)]
    young = make_payment(after=60)
    await store.record([*payments, young])
    time.now = payments[-1].at + PATIENCE
    forget = ForgetImports(store, lambda: [tenant], time)
    assert [await forget.forget(tenant) for _ in range(3)] == [CHUNK, 5, 0]
    assert list(await store.observed(tenant, [young.event_id])) == [young.event_id]


async def test_imports_of_every_tenant_are_forgotten_after_the_start(
    store: MemoryImports, time: Clock, tenant: TenantId, make_payment: Make
) -> None:
    other = TenantId("other")
    many = [make_payment(after=number / 1000) for number in range(CHUNK + 5)]
    await store.record([*many, make_payment(tenant_id=other)])
    time.now += PATIENCE + timedelta(minutes=1)
    stop = asyncio.Event()
    running = asyncio.create_task(ForgetImports(store, lambda: [tenant, other], time, first_seconds=0).run(stop))
    async with asyncio.timeout(5):
        while len(store):
            await asyncio.sleep(0.01)
    stop.set()
    await asyncio.wait_for(running, 1)
