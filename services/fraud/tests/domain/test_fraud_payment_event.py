from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from weir_common.events import Event, subject_of
from weir_common.ids import TenantId
from weir_fraud.domain.payment import Context, Payment, PaymentKind, observation_of
from weir_fraud.domain.payment_event import PaymentEvent, payment_of
from weir_fraud.entrypoints.documents import EVENT_EXAMPLE

NOW = datetime(2026, 11, 25, 11, tzinfo=UTC)


def changed(**paths: Any) -> bytes:
    """The documentation's event with members set by path, e.g. `event_data__event_subtype`."""
    event = json.loads(json.dumps(EVENT_EXAMPLE["event"]))
    for path, value in paths.items():
        *parents, last = path.split("__")
        part = event
        for name in parents:
            part = part.setdefault(name, {})
        part[last] = value
    return json.dumps(event).encode()


def payment(content: bytes) -> Payment:
    return payment_of(msgspec.json.decode(content, type=PaymentEvent), TenantId("t"), NOW)


TRANSACTION = "event_data__business_context__transaction_context"


def test_every_field_is_found_where_the_schema_has_it() -> None:
    found = payment(changed())
    assert found.kind is PaymentKind.PURCHASE
    assert found.at == datetime(2026, 11, 25, 10, 30, 0, 123456, tzinfo=UTC)
    assert (found.amount, found.currency) == (Decimal("908.97"), "USD")
    assert (found.user_id, found.device, found.payment_token) == ("hashed_user_id", "hash_string", "token_hash_123")
    assert (found.country, found.latitude, found.longitude) == ("US", 40.7128, -74.006)
    assert (found.billing_country, found.shipping_country) == ("US", "US")
    assert found.registered_at == datetime(2025, 1, 15, tzinfo=UTC)
    assert (found.transaction_id, found.declined) == ("cart_uuid", False)


def test_without_its_context_it_is_the_same_payment_to_the_histories() -> None:
    event = msgspec.json.decode(changed(), type=PaymentEvent)
    whole, bare = (payment_of(event, TenantId("t"), NOW, with_context=wanted) for wanted in (True, False))
    assert whole.context != Context()
    assert replace(whole, context=Context()) == bare
    assert observation_of(whole) == observation_of(bare)


def test_an_event_with_nothing_but_what_is_required_is_a_payment() -> None:
    content = msgspec.json.encode(
        {
            "schema_version": "2.1",
            "tenant_id": "t",
            "event_metadata": EVENT_EXAMPLE["event"]["event_metadata"],
            "event_data": {"event_type": "transaction", "event_subtype": "payment_declined"},
        }
    )
    found = payment(content)
    assert found.declined
    assert found.user is None
    assert found.transaction_id == found.event_id == found.subject
    assert found.subject == subject_of(msgspec.json.decode(content, type=Event))


def test_the_subject_is_the_one_that_orders_the_log() -> None:
    for content in (changed(), changed(event_data__user_context__user_id=None)):
        assert payment(content).subject == subject_of(msgspec.json.decode(content, type=Event))


@pytest.mark.parametrize("value", [5, None, [], {}, "", True, "x" * 2_000])
def test_fields_that_no_schema_holds_may_be_anything(value: Any) -> None:
    found = payment(
        changed(
            **{
                f"{TRANSACTION}__order_id": value,
                f"{TRANSACTION}__cart_context__cart_value__currency": value,
            }
        )
    )
    assert found.transaction_id == "cart_uuid"
    assert found.currency == "USD"


def test_an_order_names_the_transaction_and_its_own_currency_wins() -> None:
    found = payment(
        changed(**{f"{TRANSACTION}__order_id": "o-1", f"{TRANSACTION}__cart_context__cart_value__currency": "EUR"})
    )
    assert (found.transaction_id, found.currency) == ("o-1", "EUR")


def test_lines_of_two_currencies_have_none() -> None:
    lines = [{"pricing": {"currency": "USD"}}, {"pricing": {"currency": "EUR"}}]
    assert payment(changed(**{f"{TRANSACTION}__products": lines})).currency is None


@pytest.mark.parametrize("amount", ["-0.01", "1e400", "100000000000", "NaN", "Infinity"])
def test_an_implausible_amount_is_unknown(amount: str) -> None:
    found = payment(changed(**{f"{TRANSACTION}__cart_context__cart_value__final_total": amount}))
    assert found.amount is None


def test_a_declined_method_is_a_declined_payment() -> None:
    methods = [{"tokenized_identifier": "t", "outcome": "declined"}]
    found = payment(changed(**{f"{TRANSACTION}__cart_context__payment_context__payment_methods": methods}))
    assert found.declined
