"""The vectorised offline computation against the one by one, on random streams."""

from __future__ import annotations

import math
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import duckdb
import numpy as np
import pytest
from weir_common.ids import EventId, SubjectId, TenantId
from weir_fraud.adapters.duckdb_features import _FIRST_ARRIVALS, _in_order, point_in_time, table_of
from weir_fraud.domain.aggregate import ROWS_KEPT, Entity, Measure
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
    for row, own in enumerate(observations):
        expected = histories.observe(own)
        expected = first.setdefault((own.id, own.at), expected)
        for aggregate, one, other in zip(catalogue.plan, found[row], expected, strict=True):
            if aggregate.measure is Measure.DEVIATION:
                assert one == pytest.approx(other, rel=1e-9, abs=1e-9, nan_ok=True), (row, aggregate.name)
            else:
                assert one == other or (math.isnan(one) and math.isnan(other)), (row, aggregate.name, one, other)


@pytest.mark.parametrize("seed", range(2))
def test_hot_entities_see_what_an_online_history_keeps(catalogue: Catalogue, seed: int) -> None:
    """One merchant, two customers: far more rows than are kept, in the windows and before them."""
    random = Random(seed)
    at = microseconds(START)
    rows = []
    for one in stream(seed, 3 * ROWS_KEPT):
        at += random.choice([1, 1_000_000, 60_000_000, 3_600_000_000, 20 * 3_600_000_000])
        label_at = at + 6 * 86_400_000_000 if one.label else 0
        rows.append(one._replace(at=at, id=len(rows) + 1, merchant=7, user=random.choice([1, 2]), label_at=label_at))
    histories = Histories(catalogue.plan)
    found = point_in_time(table_of(rows), catalogue.plan)
    for row, own in enumerate(rows):
        for aggregate, one, other in zip(catalogue.plan, found[row], histories.observe(own), strict=True):
            assert one == pytest.approx(other, rel=1e-9, abs=1e-9, nan_ok=True), (row, aggregate.name)


def test_both_ways_answer(catalogue: Catalogue) -> None:
    """In the streams of these tests some payments are in order and some are not, for every entity that is asked about."""
    with duckdb.connect() as connection:
        connection.register("arrived", table_of(stream(0, 350)))
        connection.execute(_FIRST_ARRIVALS)
        for entity in Entity:
            connection.execute(_in_order(entity, [one for one in catalogue.plan if one.entity is entity]))
            row = connection.execute("SELECT count(*) FILTER (in_order), count(*) FROM e").fetchone()
            assert row is not None
            assert 0.1 < row[0] / row[1] < 0.95, entity


def test_what_is_earlier_is_history_only(catalogue: Catalogue) -> None:
    observations = stream(1, 350)
    whole = point_in_time(table_of(observations), catalogue.plan)
    since = sorted(own.at for own in observations)[200]
    later = [row for row, own in enumerate(observations) if own.at >= since]
    np.testing.assert_array_equal(point_in_time(table_of(observations), catalogue.plan, since), whole[later])
