"""The compiled aggregates against the computation one by one, without a server: same bits on random streams."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

import pytest
from weir_fraud.adapters.aggregate_kernel import Kernel
from weir_fraud.domain.aggregate import MONTH, ROWS_KEPT, WEEK, Aggregate, Column, Entity, Measure, Which
from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.history import Histories, History, Snapshot
from weir_fraud.domain.payment import LABEL_FRAUD, Observation, observation_of, pack

Make = Callable[..., object]
EVERYTHING = tuple(
    Aggregate(entity, measure, window, which, column if measure in (Measure.DISTINCT, Measure.SEEN) else None, own=own)
    for entity in (Entity.USER, Entity.MERCHANT)
    for window in (WEEK, MONTH, WEEK.delayed(7))
    for measure in (Measure.COUNT, Measure.DISTINCT, Measure.SEEN, Measure.SECONDS_SINCE)
    for which in Which
    for column in (Column.COUNTRY, Column.DEVICE)
    for own in (True, False)
    if not own or (not window.delay and which is not Which.FRAUD and measure in (Measure.COUNT, Measure.DISTINCT))
    if column is Column.COUNTRY or measure in (Measure.DISTINCT, Measure.SEEN)
)
"""What no feature asks yet, too."""


def same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


class Online:
    """Histories as Valkey keeps them, asked by the kernel."""

    def __init__(self, plan: tuple[Aggregate, ...]) -> None:
        self.kernel = Kernel(plan)
        self.histories: dict[tuple[Entity, int], History] = {}

    def observe(self, own: Observation) -> Snapshot:
        packed: list[bytes | None] = []
        for entity in Entity:
            identity = getattr(own, entity)
            if not identity:
                packed.append(None)
                continue
            before = self.histories.setdefault((entity, identity), History()).add(own)
            packed.append(b"".join(pack(row) for row in before))
        return self.kernel.answer(pack(own), packed)


def stream(seed: int, make_payment: Make, length: int) -> list[Observation]:
    random = Random(seed)
    sent: list[Observation] = []
    after = 0.0
    for number in range(length):
        after += random.choice([0, 0.000001, 1, 60, 3_600, 86_400, 200_000])
        payment = make_payment(
            after=after - random.choice([0, 0, 0, 60, 86_400]),
            amount=random.choice([None, "0", "12.34", "99999999999.9999"]),
            currency=random.choice(["EUR", "USD", None]),
            user_id=random.choice(["ann", "bob"]),
            device=random.choice(["a", "b", "c", None]),
            country=random.choice(["DE", "FR", None]),
            latitude=random.choice([None, -33.9, 52.5]),
            longitude=random.choice([-180.0, 151.2]),
            declined=random.random() < 0.3,
            merchant=random.choice(["m1", None]),
            address=f"address {number % 40}",
        )
        own = observation_of(payment)  # type: ignore[arg-type]
        if random.random() < 0.4:
            own = own._replace(label=LABEL_FRAUD, label_at=own.at + random.choice([0, 7 * 86_400_000_000]))
        sent.append(own)
    return sent


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("which", ["catalogue", "everything"])
def test_every_bit_is_the_same(catalogue: Catalogue, make_payment: Make, seed: int, which: str) -> None:
    plan = catalogue.plan if which == "catalogue" else EVERYTHING
    online, offline = Online(plan), Histories(plan)
    for own in stream(seed, make_payment, 2 * ROWS_KEPT + 40):
        for aggregate, one, other in zip(plan, online.observe(own), offline.observe(own), strict=True):
            assert same(one, other), (aggregate.name, one, other)


def test_two_kernels_do_not_meet(catalogue: Catalogue, make_payment: Make) -> None:
    own = stream(9, make_payment, 1)[0]
    small, large = Kernel(catalogue.plan[:3]), Kernel(catalogue.plan)
    empty = [b""] * len(Entity)
    before = large.answer(pack(own), empty)
    assert len(small.answer(pack(own), empty)) == 3
    assert all(map(same, before, large.answer(pack(own), empty)))


def test_how_far_it_looks_back_is_told(catalogue: Catalogue) -> None:
    plan = (
        Aggregate(Entity.USER, Measure.COUNT, WEEK),
        Aggregate(Entity.MERCHANT, Measure.COUNT, WEEK.delayed(7), own=False),
    )
    day = 86_400_000_000
    asked = {Entity.USER: 7 * day, Entity.MERCHANT: 14 * day}
    assert Kernel(plan).reaches == tuple(asked.get(entity, 0) for entity in Entity)
