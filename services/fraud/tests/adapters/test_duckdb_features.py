"""The vectorised offline computation against the one by one, on random streams."""

from __future__ import annotations

import math
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest
from weir_common.ids import EventId, SubjectId, TenantId
from weir_fraud.adapters.duckdb_features import point_in_time, saturated, table_of
from weir_fraud.domain.aggregate import ROWS_KEPT, Measure
from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.history import Histories
from weir_fraud.domain.payment import (
    LABEL_FRAUD,
    LABEL_HONEST,
    Observation,
    Payment,
    PaymentKind,
    microseconds,
    observation_of,
)

START = datetime(2026, 3, 1, tzinfo=UTC)


def stream(seed: int, length: int) -> list[Observation]:
    """Repeats, same instants, payments up to a day late, and all that may be missing; labels as they are known in the end."""
    random = Random(seed)
    now = START
    sent: list[Observation] = []
    for _ in range(length):
        if sent and random.random() < 0.08:
            sent.append(random.choice(sent))
            continue
        now += timedelta(seconds=random.choice([0, 0, 0.000001, 1, 59.999999, 60, 3_600, 86_400, 200_000, 604_800]))
        at = now - timedelta(seconds=random.choice([0, 0, 0, 1, 60, 3_600, 86_399]))
        located = random.random() < 0.7
        payment = Payment(
            tenant_id=TenantId("t"),
            event_id=EventId(str(uuid.UUID(int=random.getrandbits(128)))),
            transaction_id="t",
            kind=PaymentKind.PURCHASE,
            at=at,
            received_at=now,
            subject=SubjectId("s"),
            amount=random.choice([None, Decimal(random.randrange(10 ** random.randrange(1, 9))) / 10_000]),
            currency=random.choice(["EUR", "EUR", "USD", None]),
            user_id=random.choice(["u1", "u2", None]),
            device=random.choice(["d1", "d2", "d3", None]),
            payment_token=random.choice(["t1", "t2", "t3", "t4", None]),
            declined=random.random() < 0.3,
            country=random.choice(["DE", "FR", "US", None]),
            latitude=random.uniform(-90, 90) if located else None,
            longitude=random.uniform(-180, 180) if located else None,
            address=random.choice(["a1", "a2", None]),
            network=random.choice(["n1", "n2", None]),
            merchant=random.choice(["m1", "m2", None]),
            product=random.choice(["p1", "p2", None]),
        )
        own = observation_of(payment)
        if random.random() < 0.5:
            known = microseconds(at + timedelta(days=random.choice([0, 1, 7, 20])))
            own = own._replace(label=random.choice([LABEL_FRAUD, LABEL_FRAUD, LABEL_HONEST]), label_at=known)
        sent.append(own)
    return sent


@pytest.mark.parametrize("seed", range(6))
def test_it_equals_the_computation_one_by_one(catalogue: Catalogue, seed: int) -> None:
    observations = stream(seed, 350)
    histories = Histories(catalogue.plan)
    first: dict[tuple[int, int], tuple[float, ...]] = {}
    found = point_in_time(table_of(observations), catalogue.plan)
    assert saturated(table_of(observations)) == 0
    for row, own in enumerate(observations):
        expected = histories.observe(own)
        expected = first.setdefault((own.id, own.at), expected)
        for aggregate, one, other in zip(catalogue.plan, found[row], expected, strict=True):
            if aggregate.measure is Measure.DEVIATION:
                assert one == pytest.approx(other, rel=1e-9, abs=1e-9, nan_ok=True), (row, aggregate.name)
            else:
                assert one == other or (math.isnan(one) and math.isnan(other)), (row, aggregate.name, one, other)


def test_what_an_online_history_would_not_keep_is_counted() -> None:
    one = stream(1, 1)[0]._replace(user=1, device=2)
    rows = [one._replace(id=number, at=one.at + number, merchant=number + 1) for number in range(ROWS_KEPT + 5)]
    rows = [row._replace(payment_token=0, address=0, network=0, product=0) for row in rows]
    assert saturated(table_of(rows)) == 2 * 5
