from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from weir_fraud.domain.payment import (
    MISSING_AMOUNT,
    MISSING_PLACE,
    OBSERVATION_BYTES,
    Observation,
    Payment,
    amount_units,
    hash48,
    microseconds,
    moment_of,
    observation_of,
    pack,
    unpack,
)

_hashes = st.integers(0, 2**48 - 1)


@given(
    st.builds(
        Observation,
        at=st.integers(-(2**62), 2**62),
        id=_hashes,
        amount=st.integers(-1, 10**15),
        currency=st.integers(0, 2**15),
        user=_hashes,
        device=_hashes,
        payment_token=_hashes,
        country=st.integers(0, 2**10),
        latitude=st.integers(-9_000_000, 9_000_000) | st.just(MISSING_PLACE),
        longitude=st.integers(-18_000_000, 18_000_000) | st.just(MISSING_PLACE),
        declined=st.integers(0, 1),
        received_at=st.just(0),
        address=_hashes,
        network=_hashes,
        merchant=_hashes,
        product=_hashes,
        label=st.integers(0, 2),
        label_at=st.integers(-(2**62), 2**62),
    )
)
def test_what_is_packed_comes_back(observation: Observation) -> None:
    packed = pack(observation)
    assert len(packed) == OBSERVATION_BYTES == 86
    assert unpack(packed) == observation


def test_what_is_missing_is_told_apart_from_zero(make_payment: Callable[..., Payment]) -> None:
    bare = observation_of(
        make_payment(
            amount=None, currency=None, user_id=None, device=None, payment_token=None, country=None, latitude=None
        )
    )
    assert (bare.amount, bare.currency, bare.user, bare.device, bare.payment_token) == (MISSING_AMOUNT, 0, 0, 0, 0)
    assert (bare.latitude, bare.longitude) == (MISSING_PLACE, MISSING_PLACE)
    free = observation_of(make_payment(amount="0", latitude=0.0, longitude=0.0))
    assert (free.amount, free.latitude, free.longitude) == (0, 0, 0)


def test_kinds_of_identities_do_not_mix() -> None:
    assert hash48("user", "x") != hash48("device", "x")
    assert hash48("user", None) == hash48("user", "") == 0
    assert 0 < hash48("user", "x") < 2**48


def test_a_user_and_a_visitor_of_the_same_name_are_two(make_payment: Callable[..., Payment]) -> None:
    assert make_payment(user_id="x").user != make_payment(user_id=None, anonymous_id="x").user


def test_amounts_are_exact_to_a_ten_thousandth() -> None:
    assert amount_units(Decimal("1812.97")) == 18_129_700
    assert amount_units(Decimal("0.00005")) == 0
    assert amount_units(Decimal("0.00015")) == 2


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - as it wants them
def test_times_are_exact_to_a_microsecond(moment: datetime) -> None:
    assert moment_of(microseconds(moment)) == moment
