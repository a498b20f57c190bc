"""Each feature on a small story whose answer is known by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from weir_fraud.domain.aggregate import ROWS_KEPT
from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.geography import distance_km
from weir_fraud.domain.history import Histories
from weir_fraud.domain.payment import (
    LABEL_FRAUD,
    LABEL_HONEST,
    Context,
    Known,
    Payment,
    microseconds,
    observation_of,
    observed_of,
)

Make = Callable[..., Payment]
UNKNOWN = pytest.approx(math.nan, nan_ok=True)

FROM_THE_EVENT = {
    "amount_to_merchant_mean_30d",
    "anonymous_network",
    "digital_wallet",
    "discount_share",
    "express_delivery",
    "interaction_count",
    "known_bot",
    "line_count",
    "pay_later",
    "place_by_network",
    "po_box_delivery",
    "points_redeemed",
    "sender_score",
    "session_seconds",
    "session_sequence",
    "shipped_to_billing",
    "suspicious_agent",
    "tor_exit",
    "touchpoint_count",
    "trial_account",
    "unit_count",
    "verified_account",
}
"""Unknown where the event does not say so, as `make_payment`'s do not."""


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
    unknown = {
        name for name in found if name.startswith(("address_", "network_", "merchant_", "product_"))
    } | FROM_THE_EVENT
    unknown |= {"first_payment_to_address", "first_payment_from_network", "first_payment_to_merchant"}
    assert {name for name, value in found.items() if math.isnan(value)} == unknown
    kilometres = distance_km(52.52, 13.405, 48.8566, 2.3522)
    assert {name: value for name, value in found.items() if name not in unknown} == pytest.approx(
        {
            "account_age_days": 3 + 3_660 / 86_400,
            "amount": 80,
            "amount_to_user_max_30d": 80 / 30,
            "amount_to_user_mean_7d": 80 / 15,
            "amount_to_user_mean_30d": 80 / 15,
            "amount_user_zscore_30d": (80 - 15) / math.sqrt((25 + 225 + 100) / 2),
            "billing_country_mismatch": 1,
            "device_address_count_24h": 0,
            "device_country_count_24h": 1,
            "device_decline_count_1h": 1,
            "device_decline_count_24h": 1,
            "device_fraud_rate_30d_delayed_7d": 0,
            "device_payment_count_10m": 2,
            "device_payment_count_24h": 2,
            "device_payment_count_1h": 2,
            "device_payment_token_count_1h": 1,
            "device_payment_token_count_24h": 1,
            "device_user_count_24h": 1,
            "distance_from_last_location": 0,
            "first_payment_from_country": 0,
            "first_payment_from_device": 0,
            "first_payment_with_token": 0,
            "hour_of_day": 13 + 1 / 60 + 2.3522 / 15,
            "night": 0,
            "payment_token_address_count_30d": 0,
            "payment_token_decline_count_24h": 1,
            "payment_token_device_count_24h": 1,
            "payment_token_payment_count_1h": 2,
            "payment_token_payment_count_24h": 2,
            "payment_token_user_count_30d": 1,
            "seconds_since_last_payment": 30,
            "shipping_country_mismatch": 0,
            "speed_from_last_location": 0,
            "user_country_count_24h": 2,
            "user_country_count_30d": 2,
            "user_address_count_24h": 0,
            "user_address_count_30d": 0,
            "user_decline_count_1h": 1,
            "user_decline_count_24h": 1,
            "user_decline_ratio_24h": 1 / 4,
            "user_device_count_24h": 3,
            "user_device_count_30d": 3,
            "user_fraud_rate_30d_delayed_7d": 0,
            "user_history_count_30d": 3,
            "user_merchant_count_1h": 0,
            "user_merchant_count_24h": 0,
            "user_network_count_24h": 0,
            "user_payment_count_1h": 3,
            "user_payment_count_1m": 2,
            "user_payment_count_24h": 4,
            "user_payment_count_30d": 4,
            "user_payment_count_7d": 4,
            "user_max_to_mean_14d": 30 / 15,
            "user_max_to_mean_7d": 30 / 15,
            "user_payment_mean_24h": 125 / 4,
            "user_payment_mean_30d": 125 / 4,
            "user_payment_mean_7d": 125 / 4,
            "user_payment_sum_1h": 115,
            "user_payment_sum_1m": 85,
            "user_payment_sum_24h": 125,
            "user_payment_token_count_24h": 2,
            "user_payment_token_count_30d": 2,
            "user_spend_growth_24h": 1,
            "user_spend_growth_7d": 1,
            "weekend": 0,
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
    # The time is all that is known of it.
    assert {name for name, value in values(catalogue, bare).items() if not math.isnan(value)} == {"night", "weekend"}
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


def test_what_the_event_says_of_itself(catalogue: Catalogue, make_payment: Make) -> None:
    context = Context(
        session_seconds=95.5,
        session_sequence=15,
        touchpoints=2,
        interactions=1,
        lines=3,
        units=7,
        subtotal=Decimal("200"),
        discounts=Decimal("30"),
        points_redeemed=50,
        express=True,
        po_box=False,
        shipped_to_billing=False,
        wallet=True,
        pay_later=False,
        verified=True,
        trial=False,
        network_kind="vpn",
        tor=False,
        bot=False,
        suspicious_agent=True,
        place_by_network=True,
        sender_score=0.12,
    )
    found = values(catalogue, make_payment(context=context, merchant="seller"))
    assert {name: found[name] for name in FROM_THE_EVENT - {"amount_to_merchant_mean_30d"}} == {
        "anonymous_network": 1,
        "digital_wallet": 1,
        "discount_share": 0.15,
        "express_delivery": 1,
        "interaction_count": 1,
        "known_bot": 0,
        "line_count": 3,
        "pay_later": 0,
        "place_by_network": 1,
        "po_box_delivery": 0,
        "points_redeemed": 50,
        "sender_score": 0.12,
        "session_seconds": 95.5,
        "session_sequence": 15,
        "shipped_to_billing": 0,
        "suspicious_agent": 1,
        "tor_exit": 0,
        "touchpoint_count": 2,
        "trial_account": 0,
        "unit_count": 7,
        "verified_account": 1,
    }
    home = values(
        catalogue, make_payment(context=Context(network_kind="residential", subtotal=Decimal(0), discounts=Decimal(0)))
    )
    assert (home["anonymous_network"], home["discount_share"]) == (0, UNKNOWN)


def test_what_links_people_to_addresses_networks_and_merchants(catalogue: Catalogue, make_payment: Make) -> None:
    """Three people with four cards send goods to one address, from one network, out of one shop of the marketplace."""
    payments = [
        make_payment(after=60 * number, user_id=user, payment_token=token, amount=amount, address="depot", network="n", merchant="m")
        for number, (user, token, amount) in enumerate(
            [("ann", "a", "10"), ("bob", "b", "20"), ("cyd", "c", "30"), ("ann", "d", "90")]
        )
    ]  # fmt: skip
    found = values(catalogue, *payments)
    links = [name for name in found if name.startswith(("address_", "network_"))]
    links += [f"first_payment_{link}" for link in ("to_address", "from_network", "to_merchant")]
    assert {name: found[name] for name in links} == {
        "address_fraud_rate_30d_delayed_7d": 0,
        "address_payment_count_24h": 4,
        "address_payment_token_count_24h": 4,
        "address_payment_token_count_30d": 4,
        "address_user_count_30d": 3,
        "first_payment_from_network": 0,
        "first_payment_to_address": 0,
        "first_payment_to_merchant": 0,
        "network_decline_count_1h": 0,
        "network_payment_count_10m": 4,
        "network_payment_count_1h": 4,
        "network_payment_token_count_1h": 4,
        "network_user_count_24h": 3,
    }  # fmt: skip
    assert found["amount_to_merchant_mean_30d"] == 90 / 20
    assert (
        values(catalogue, *payments[:3], make_payment(after=300, user_id="ann", address="home"))[
            "first_payment_to_address"
        ]
        == 1
    )


def test_the_risk_of_a_merchant_is_that_of_payments_whose_labels_are_known(
    catalogue: Catalogue, make_payment: Make
) -> None:
    """One payment a day for 40 days, every fifth a fraud that is known three days later."""
    day = 86_400
    histories = Histories(catalogue.plan)
    for number in range(40):
        payment = make_payment(
            after=number * day, user_id=f"user-{number}", device=None, payment_token=None, merchant="m"
        )
        snapshot = histories.observe(observation_of(payment))
        if number % 5 == 0:
            known_at = microseconds(payment.at + timedelta(days=3))
            assert histories.label(observed_of(payment), Known(LABEL_FRAUD, known_at))
    found = dict(zip(catalogue.names(), catalogue.vector(payment, snapshot, catalogue.names()), strict=True))
    # The last is of day 39; days 32 and before are a week old, and (2, 32] are 30 of them with frauds on 5, 10, …, 30.
    assert found["merchant_payment_count_24h_delayed_7d"] == 1
    assert found["merchant_payment_count_7d_delayed_7d"] == 7
    assert found["merchant_payment_count_30d_delayed_7d"] == 30
    assert found["merchant_fraud_rate_24h_delayed_7d"] == 0
    assert found["merchant_fraud_rate_7d_delayed_7d"] == 1 / 7
    assert found["merchant_fraud_rate_14d_delayed_7d"] == 3 / 14
    assert found["merchant_fraud_rate_30d_delayed_7d"] == 6 / 30


def test_a_label_counts_from_when_it_is_known_and_a_later_one_replaces_it(
    catalogue: Catalogue, make_payment: Make
) -> None:
    day = 86_400
    histories = Histories(catalogue.plan)
    sold = make_payment(merchant="m")
    histories.observe(observation_of(sold))

    def rate(after: float) -> float:
        snapshot = histories.observe(observation_of(make_payment(after=after, user_id="bob", merchant="m")))
        return catalogue.vector(sold, snapshot, ["merchant_fraud_rate_30d_delayed_7d"])[0]

    def label(label: int, after: float) -> bool:
        return histories.label(observed_of(sold), Known(label, microseconds(sold.at + timedelta(seconds=after))))

    assert rate(8 * day) == 0
    assert label(LABEL_FRAUD, 9 * day)
    assert rate(9 * day - 1) == 0
    assert rate(9 * day) == 1 / 1
    assert label(LABEL_HONEST, 8 * day), "older news change nothing"
    assert rate(9 * day + 1) == 1
    assert label(LABEL_HONEST, 10 * day)
    assert rate(10 * day) == 0
    assert not histories.label(observed_of(make_payment(merchant="m")), Known(LABEL_FRAUD, 0)), "never observed"


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
