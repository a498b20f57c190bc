"""Rows of the archive against the computation one by one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from weir_common.ids import TenantId
from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.history import Histories
from weir_fraud.domain.payment import LABEL_FRAUD, LABEL_HONEST, Known, microseconds, observation_of
from weir_fraud.training.archive.rows import Rows, archived_rows

T = TenantId("shop")
Make = Callable[..., Any]


def test_features_are_those_of_the_arrival_and_labels_count_from_when_they_came(
    catalogue: Catalogue, shop: Any, start: datetime
) -> None:
    since, until = start + timedelta(days=40), start + timedelta(days=45)
    rows = archived_rows(shop, T, shop.known, catalogue, since, until)
    histories = Histories(catalogue.plan)
    expected = []
    for archived in shop.archived:
        own = observation_of(archived.payment)
        news = shop.known.get(archived.payment.event_id)
        snapshot = histories.observe(own if news is None else own._replace(label=news.label, label_at=news.at))
        if since <= archived.payment.at < until:
            expected.append(catalogue.vector(archived.payment, snapshot, catalogue.names()))
    assert rows.x.shape == (500, len(catalogue.names()))
    deviations = [place for place, name in enumerate(rows.names) if "zscore" in name]
    exact = [place for place in range(len(rows.names)) if place not in deviations]
    theirs = np.array(expected, dtype=np.float32)
    np.testing.assert_array_equal(rows.x[:, exact], theirs[:, exact])
    np.testing.assert_allclose(rows.x[:, deviations], theirs[:, deviations], rtol=1e-5)
    frauds = [archived.payment.event_id in shop.known for archived in shop.archived[4_000:4_500]]
    assert rows.y.tolist() == [int(fraud) for fraud in frauds]
    assert list(rows.at) == sorted(rows.at)


def test_two_readings_in_another_order_give_the_same_digest(catalogue: Catalogue, shop: Any, start: datetime) -> None:
    since, until = start + timedelta(days=50), start + timedelta(days=52)
    one = archived_rows(shop, T, shop.known, catalogue, since, until)
    assert one.digest == archived_rows(shop, T, shop.known, catalogue, since, until).digest
    assert one.digest != archived_rows(shop, T, {}, catalogue, since, until).digest


def test_what_came_late_is_not_seen_by_what_arrived_before_it(
    catalogue: Catalogue, a_payment: Make, archive_of: Make, start: datetime
) -> None:
    at = start + timedelta(days=40)
    early = a_payment(T, at, 1, "u", 10)
    late = replace(a_payment(T, at - timedelta(hours=1), 2, "u", 10), received_at=at + timedelta(minutes=1))
    rows = archived_rows(archive_of([early, late]), T, {}, catalogue, start, at + timedelta(days=1))
    counts = rows.x[:, rows.names.index("user_payment_count_24h")]
    assert counts.tolist() == [1, 1]  # in order of event time: the late one, then the early one, which could not see it


def test_a_label_of_honesty_is_no_fraud(
    catalogue: Catalogue, a_payment: Make, archive_of: Make, start: datetime
) -> None:
    at = start + timedelta(days=40)
    payments = [a_payment(T, at, number, "u", 10) for number in range(2)]
    known = {
        payments[0].event_id: Known(LABEL_HONEST, microseconds(at)),
        payments[1].event_id: Known(LABEL_FRAUD, microseconds(at)),
    }
    rows = archived_rows(archive_of(payments), T, known, catalogue, start, at + timedelta(days=1))
    assert rows.y.tolist() == [0, 1]


def test_of_nobody_there_are_no_rows(catalogue: Catalogue, archive_of: Make, start: datetime) -> None:
    rows = archived_rows(archive_of([]), T, {}, catalogue, start, start + timedelta(days=1))
    assert len(rows) == 0


def test_parts_of_tenants_are_joined_in_order_of_time(
    catalogue: Catalogue, a_payment: Make, archive_of: Make, start: datetime
) -> None:
    a, b = TenantId("a"), TenantId("b")
    archive = archive_of(
        [
            a_payment(tenant, start + timedelta(hours=hour), hour, "u", hour + 1)
            for hour, tenant in enumerate([a, b, a, b])
        ]
    )
    until = start + timedelta(days=1)
    parts = [archived_rows(archive, tenant, {}, catalogue, start, until) for tenant in (a, b)]
    whole = Rows.joined(parts)
    assert whole.x[:, whole.names.index("amount")].tolist() == [1, 2, 3, 4]
    # Tenants never see each other.
    assert whole.x[:, whole.names.index("user_payment_count_24h")].tolist() == [1, 1, 2, 2]


@pytest.mark.parametrize(("first", "end", "expected"), [(0, 1, 1), (1, 3, 2), (0, 24, 4), (5, 9, 0)])
def test_a_period_has_its_beginning_and_not_its_end(
    catalogue: Catalogue, a_payment: Make, archive_of: Make, start: datetime, first: int, end: int, expected: int
) -> None:
    archive = archive_of([a_payment(T, start + timedelta(hours=hour), hour, "u", 1) for hour in range(4)])
    rows = archived_rows(archive, T, {}, catalogue, start, start + timedelta(days=1))
    assert len(rows.between(start + timedelta(hours=first), start + timedelta(hours=end))) == expected
    assert not any(math.isinf(value) for value in rows.x.ravel())
