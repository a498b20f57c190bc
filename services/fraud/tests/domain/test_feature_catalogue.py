"""Each feature on a small story whose answer is known by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta

import pytest
from weir_fraud.domain.aggregate import ROWS_KEPT
from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.geography import distance_km
from weir_fraud.domain.history import Histories
from weir_fraud.domain.payment import Payment, observation_of

Make = Callable[..., Payment]
UNKNOWN = pytest.approx(math.nan, nan_ok=True)


def values(catalogue: Catalogue, *payments: Payment) -> dict[str, float]:
    """Features of the last payment, by name."""
    histories = Histories(catalogue.plan)
    snapshot = [histories.observe(observation_of(payment)) for payment in payments][-1]
    return dict(zip(catalogue.names(), catalogue.vector(payments[-1], snapshot, catalogue.names()), strict=True))


def test_a_story_of_one_user(catalogue: Catalogue, make_payment: Make) -> None:
    """Berlin in the morning; two tries half a minute apart in Paris, from a new phone with a new card."""
    payments = [
        make_payment(amount="10"),
        make_payment(after=600, amount="30", device="tablet"),
        make_payment(
            after=3_630, amount="5", device="phone", payment_token="amex", country="FR", latitude=48.8566, longitude=2.3522, declined=True
        ),
        make_payment(
            after=3_660,
            amount="80",
            device="phone",
            payment_token="amex",
            country="FR",
            latitude=48.8566,
            longitude=2.3522,
            billing_country="DE",
            shipping_country="DE",
            registered_at=make_payment().at - timedelta(days=3),
        ),
    ]  # fmt: skip
    found = values(catalogue, *payments)
    kilometres = distance_km(52.52, 13.405, 48.8566, 2.3522)
    assert found == pytest.approx(
        {
            "account_age_days": 3 + 3_660 / 86_400,
            "amount": 80,
            "amount_to_user_mean_30d": 80 / 15,
            "amount_user_zscore_30d": (80 - 15) / math.sqrt((25 + 225 + 100) / 2),
            "billing_country_mismatch": 1,
            "device_decline_count_1h": 1,
            "device_payment_count_1h": 2,
            "device_payment_token_count_1h": 1,
            "device_payment_token_count_24h": 1,
            "device_user_count_24h": 1,
            "distance_from_last_location": 0,
            "first_payment_from_device": 0,
            "first_payment_with_token": 0,
            "hour_of_day": 13 + 1 / 60 + 2.3522 / 15,
            "payment_token_payment_count_1h": 2,
            "payment_token_user_count_30d": 1,
            "seconds_since_last_payment": 30,
            "shipping_country_mismatch": 0,
            "speed_from_last_location": 0,
            "user_country_count_24h": 2,
            "user_country_count_30d": 2,
            "user_decline_count_1h": 1,
            "user_device_count_24h": 3,
            "user_device_count_30d": 3,
            "user_history_count_30d": 3,
            "user_payment_count_1h": 3,
            "user_payment_count_1m": 2,
            "user_payment_count_24h": 4,
            "user_payment_sum_1h": 115,
            "user_payment_sum_1m": 85,
            "user_payment_sum_24h": 125,
            "user_payment_token_count_24h": 2,
            "user_payment_token_count_30d": 2,
        },
        abs=1e-9,
    )
    jump = values(catalogue, *payments[:3])
    assert jump["first_payment_from_device"] == jump["first_payment_with_token"] == 1
    assert jump["distance_from_last_location"] == pytest.approx(kilometres, rel=1e-4)
    assert jump["speed_from_last_location"] == pytest.approx(kilometres / (3_030 / 3_600), rel=1e-4)


def test_the_first_payment_of_a_user_of_whom_nothing_is_known(catalogue: Catalogue, make_payment: Make) -> None:
    bare = make_payment(
        amount=None, currency=None, user_id=None, device=None, payment_token=None, country=None, latitude=None, longitude=None
    )  # fmt: skip
    assert all(math.isnan(value) for value in values(catalogue, bare).values())
    first = values(catalogue, make_payment())
    assert first["user_payment_count_24h"] == 1
    assert first["first_payment_from_device"] == UNKNOWN
    assert first["amount_to_user_mean_30d"] == UNKNOWN


def test_history_without_spread_or_with_only_free_orders_gives_no_ratio(
    catalogue: Catalogue, make_payment: Make
) -> None:
    subscription = values(catalogue, *(make_payment(after=second, amount="9.99") for second in range(4)))
    assert subscription["amount_user_zscore_30d"] == UNKNOWN
    assert subscription["amount_to_user_mean_30d"] == pytest.approx(1)
    free = values(catalogue, make_payment(amount="0"), make_payment(after=1, amount="5"))
    assert free["amount_to_user_mean_30d"] == UNKNOWN


def test_nobody_travels_within_fifty_kilometres(catalogue: Catalogue, make_payment: Make) -> None:
    near = values(catalogue, make_payment(), make_payment(after=1, latitude=52.7))
    assert near["distance_from_last_location"] == pytest.approx(20.0, abs=0.1)
    assert near["speed_from_last_location"] == 0
    far = values(catalogue, make_payment(), make_payment(after=0, latitude=-33.87, longitude=151.21))
    assert 900_000 < far["speed_from_last_location"] < 1_000_000


def test_a_registration_in_the_future_is_a_clock_that_differs(catalogue: Catalogue, make_payment: Make) -> None:
    payment = make_payment(registered_at=make_payment().at + timedelta(hours=1))
    assert values(catalogue, payment)["account_age_days"] == 0


def test_every_feature_is_described_and_finite_at_the_extremes(catalogue: Catalogue, make_payment: Make) -> None:
    assert all(feature.description and feature.unit for feature in catalogue.features.values())
    huge = [make_payment(after=number / 1_000, amount="99999999999.9999") for number in range(ROWS_KEPT + 2)]
    assert not any(math.isinf(value) for value in values(catalogue, *huge, make_payment(amount="0.0001")).values())


def test_each_aggregate_is_asked_for_once(catalogue: Catalogue) -> None:
    names = [aggregate.name for aggregate in catalogue.plan]
    assert len(names) == len(set(names))


def test_reason_codes_are_stable_names(catalogue: Catalogue) -> None:
    codes = {feature.reason.code: feature.reason.text for feature in catalogue.features.values()}
    assert all(code.isascii() and code == code.upper() and code.replace("_", "").isalpha() for code in codes)
    assert len(set(codes.values())) == len(codes)
