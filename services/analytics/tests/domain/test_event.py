"""What is read of an event: the public contract's own fields, and amounts, codes and keys as defined."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from weir_analytics.domain.event import (
    CommerceEvent,
    TransactionContext,
    country_code,
    facts_of,
    microseconds,
    moment,
    plausible,
    purchase_of,
)
from weir_analytics.domain.facts import OrderLine, PageLoaded, PersonSeen
from weir_analytics.domain.storable import LONGEST, storable
from weir_common.events import Event

MakeEvent = Callable[..., dict[str, Any]]


def paths(struct: type, prefix: str = "") -> set[str]:
    """Pointers of all members of a struct and of the structs in it; lists are looked through."""
    found = set()
    hints = typing.get_type_hints(struct)
    for field in msgspec.structs.fields(struct):
        here = f"{prefix}/{field.encode_name}"
        found.add(here)
        for part in _structs(hints[field.name]):
            found |= paths(part, here)
    return found


def _structs(hint: Any) -> list[type]:
    if isinstance(hint, type) and not isinstance(hint, types.GenericAlias):
        return [hint] if issubclass(hint, msgspec.Struct) else []
    return [struct for part in typing.get_args(hint) for struct in _structs(part)]


def test_every_field_that_is_read_is_one_of_the_public_contract() -> None:
    read = paths(CommerceEvent) | paths(TransactionContext, "/event_data/business_context/transaction_context")
    assert read - paths(Event) == set()


def decoded(event: dict[str, Any]) -> CommerceEvent:
    return msgspec.json.decode(msgspec.json.encode(event), type=CommerceEvent)


def test_a_page_view_gives_a_person_and_a_page(make_event: MakeEvent) -> None:
    event = decoded(make_event(user="U", anonymous="A", paint=1200.5, at="2024-01-15T11:30:00.000001+01:00"))
    at = 1_705_314_600_000_001
    assert list(facts_of(event, event.at)) == [PersonSeen(at, "user:U"), PageLoaded(at, 1200.5)]
    assert list(facts_of(decoded(make_event(event_type="system_event", user="U")), 0)) == []
    assert [
        fact.person for fact in facts_of(decoded(make_event(fingerprint="f")), 0) if isinstance(fact, PersonSeen)
    ] == ["device:f"]


def test_the_order_of_the_sample_event(make_event: MakeEvent) -> None:
    """The numbers of the sample of schema 2.1: one line of 899.99, of which two were sold without saying so."""
    transaction = {
        "products": [
            {
                "product_hierarchy": {"category_l1": "Electronics"},
                "pricing": {"sale_price": 899.99, "currency": "USD"},
            }
        ],
        "cart_context": {
            "cart_id": "cart_uuid",
            "cart_value": {
                "subtotal": 1799.98,
                "discounts_applied": [{"discount_amount": 179.99}],
                "final_total": 1812.97,
            },
            "payment_context": {"shipping_context": {"shipping_address": {"country": "US"}}},
        },
    }
    purchase = purchase_of(decoded(make_event(subtype="purchase", event_id="e", transaction=transaction)), 0)
    assert purchase.order == "cart:cart_uuid"
    assert (purchase.currency, purchase.final_total, purchase.goods) == ("USD", Decimal("1812.97"), Decimal("1619.99"))
    assert purchase.lines == (OrderLine("Electronics", Decimal("1799.98")),)
    assert purchase.country == "US"


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("12.50", "12.50"),
        ("-3", "-3"),
        ("0", "0"),
        ("999999999999999.99", "999999999999999.99"),
        ("1e15", None),
        ("1e-10", None),
        ("1e400", None),
        ("NaN", None),
        ("Infinity", None),
    ],
)
def test_what_money_can_be(amount: str, expected: str | None) -> None:
    assert plausible(Decimal(amount)) == (None if expected is None else Decimal(expected))


def test_a_zero_of_any_exponent_is_a_zero() -> None:
    assert str(plausible(Decimal("0E-400"))) == "0"


@pytest.mark.parametrize(
    ("sent", "counted"),
    [("DE", "DE"), (" us", "US"), ("UK", "GB"), ("USA", "unknown"), ("1A", "unknown"), (None, "unknown")],
)
def test_country_codes(sent: str | None, counted: str) -> None:
    assert country_code(sent) == counted


def test_times_are_exact_to_the_microsecond() -> None:
    for at in (0, 1, -1, 1_705_314_600_123_456, -62_135_596_800_000_000, 253_402_300_799_999_999):
        assert microseconds(moment(at)) == at


def test_text_for_keys_is_bounded_and_stays_distinct() -> None:
    assert storable("a\x00b") == "a\ufffdb"
    long, other = "x" * 1000, "x" * 1000 + "y"
    assert len(storable(long)) <= LONGEST
    assert storable(long) != storable(other)
    assert storable(long) == storable(long)
