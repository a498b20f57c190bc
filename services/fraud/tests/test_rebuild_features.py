"""Filling the histories anew, in memory; and in which pieces the archive is read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from weir_common.ids import EventId, TenantId
from weir_fraud.adapters.archive_then_log import spans
from weir_fraud.adapters.memory_cases import MemoryCases
from weir_fraud.adapters.memory_decisions import MemoryDecisions
from weir_fraud.adapters.memory_features import MemoryFeatures
from weir_fraud.domain.label import Label, LabelKind, LabelSource
from weir_fraud.domain.payment import LABEL_FRAUD, OBSERVATION_BYTES, Payment, unpack
from weir_fraud.errors import FeatureStoreUnavailable
from weir_fraud.rebuild_features import RebuildFeatures

Make = Callable[..., Payment]


class Past:
    """Payments, and what happens after each batch was asked for."""

    def __init__(self, *batches: Sequence[Payment]) -> None:
        self._batches = batches

    async def batches(self, size: int, tenant_id: TenantId | None = None) -> AsyncIterator[list[Payment]]:
        for batch in self._batches:
            yield [payment for payment in batch if tenant_id in (None, payment.tenant_id)]


class NewsBetween(MemoryCases):
    """A label that comes right after labels were read for the first time."""

    def __init__(self, news: Label) -> None:
        super().__init__(MemoryDecisions())
        self._news: Label | None = news

    async def labels(self, tenant_id: TenantId, event_ids: Sequence[EventId]) -> Mapping[EventId, Sequence[Label]]:
        found = dict(await super().labels(tenant_id, event_ids))
        if self._news is not None:
            async with self.work(tenant_id) as work:
                await work.add_labels([self._news])
            self._news = None
        return found


def charged_back(payment: Payment, at: datetime) -> Label:
    return Label(
        tenant_id=payment.tenant_id,
        event_id=payment.event_id,
        kind=LabelKind.CHARGEBACK,
        occurred_at=at,
        recorded_at=at,
        recorded_by="test",
        source=LabelSource.FEEDBACK,
    )


async def rebuilt(rebuild: RebuildFeatures, tenant_id: TenantId | None = None) -> int:
    return sum([len(batch) async for batch, _ in rebuild(tenant_id)])


async def test_histories_are_what_they_were_and_stay_so(make_payment: Make, tenant: TenantId) -> None:
    """Also where the service has put some of them back already, and one that came since."""
    other = TenantId("other")
    past = [make_payment(after=number, user_id="ann") for number in range(6)]
    theirs = make_payment(user_id="ann", tenant_id=other)
    labels = MemoryCases(MemoryDecisions())
    async with labels.work(tenant) as work:
        await work.add_labels([charged_back(past[1], past[1].at)])
    original, again = MemoryFeatures(()), MemoryFeatures(())
    await rebuilt(RebuildFeatures(Past(past[:3], [*past[3:], theirs]), labels, original))
    await again.observe([past[4], past[5]])
    rebuild = RebuildFeatures(Past(past[:3], [*past[3:], theirs]), labels, again)
    assert await rebuilt(rebuild) == 7
    assert rebuild.labelled == 1
    assert await rebuilt(rebuild) == 7
    for tenant_id in (tenant, other):
        history = await original.history(tenant_id, ["u\x00ann"])
        assert history
        assert await again.history(tenant_id, ["u\x00ann"]) == history
    one = MemoryFeatures(())
    assert await rebuilt(RebuildFeatures(Past(past, [theirs]), labels, one), other) == 1
    assert not await one.history(tenant, ["u\x00ann"])


async def test_a_label_that_comes_in_between_is_not_lost(make_payment: Make, tenant: TenantId) -> None:
    payment = make_payment(user_id="ann")
    news = charged_back(payment, payment.at + timedelta(days=1))
    slow, before = MemoryFeatures(()), MemoryFeatures(())
    labels = MemoryCases(MemoryDecisions())
    async with labels.work(tenant) as work:
        await work.add_labels([news])
    await rebuilt(RebuildFeatures(Past([payment]), labels, before))
    await rebuilt(RebuildFeatures(Past([payment]), NewsBetween(news), slow))
    assert await slow.history(tenant, ["u\x00ann"]) == await before.history(tenant, ["u\x00ann"])


class Breaks(Past):
    """The log is away after the batches."""

    async def batches(self, size: int, tenant_id: TenantId | None = None) -> AsyncIterator[list[Payment]]:
        async for batch in super().batches(size, tenant_id):
            yield batch
        raise FeatureStoreUnavailable("the log is away")


@pytest.mark.parametrize("past", [Past, Breaks])
@pytest.mark.parametrize("batches", [1, 3])
async def test_a_label_that_came_in_between_is_put_on_whatever_comes_next(
    make_payment: Make, tenant: TenantId, past: type[Past], batches: int
) -> None:
    """Another batch, the end, or an error of the log: another run would find the payment there, and its label known from the beginning."""
    payments = [make_payment(after=number, user_id="ann") for number in range(batches)]
    news = charged_back(payments[0], payments[0].at + timedelta(days=1))
    features = MemoryFeatures(())
    rebuild = RebuildFeatures(past(*([payment] for payment in payments)), NewsBetween(news), features)
    with suppress(FeatureStoreUnavailable):
        await rebuilt(rebuild)
    rows = await features.history(tenant, ["u\x00ann"])
    first, *others = [unpack(rows[at : at + OBSERVATION_BYTES]) for at in range(0, len(rows), OBSERVATION_BYTES)]
    assert first.label == LABEL_FRAUD
    assert [other.label for other in others] == [0] * (batches - 1)
    assert rebuild.labelled == 1


class Counted(MemoryCases):
    """How often it was asked."""

    asked = 0

    async def labels(self, tenant_id: TenantId, event_ids: Sequence[EventId]) -> Mapping[EventId, Sequence[Label]]:
        self.asked += 1
        return await super().labels(tenant_id, event_ids)


async def test_labels_are_asked_for_once_a_batch(make_payment: Make) -> None:
    labels = Counted(MemoryDecisions())
    batches = [[make_payment(after=number)] for number in range(5)]
    assert await rebuilt(RebuildFeatures(Past(*batches), labels, MemoryFeatures(()))) == 5
    assert labels.asked == 5 + 1, "and once at the end, for the last batch"


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({}, []),
        ({7: 3}, [(7, 7)]),
        ({9: 4, 7: 3, 30: 3, 31: 1}, [(7, 30), (31, 31)]),
        ({1: 10, 2: 1, 3: 99, 4: 9, 5: 1}, [(1, 1), (2, 2), (3, 3), (4, 5)]),
        ({1: 10, 2: 10}, [(1, 1), (2, 2)]),
    ],
)
def test_the_archive_is_read_in_pieces_that_fit(counts: dict[int, int], expected: list[tuple[int, int]]) -> None:
    """A minute that is too full is read alone."""
    assert list(spans(counts, 10)) == expected
