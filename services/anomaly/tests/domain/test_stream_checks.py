"""What one bad line among good ones, or a part that does not apply, does to the checks of ``tec.data_quality``."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from weir_anomaly.domain.event import Event, EventDecoder
from weir_anomaly.domain.rules.tec_data_quality import CHECKS, checks

GOOD = {"pricing": {"sale_price": "10.00", "currency": "USD"}}
NO_CURRENCY = {"pricing": {"sale_price": "10.00", "currency": "XQX"}}
BELOW_ZERO = {"pricing": {"sale_price": "-1.00", "currency": "USD"}}
NOTHING: dict[str, Any] = {}


def event(lines: list[dict[str, Any]], cart_value: dict[str, Any] | None = None) -> Event:
    document = {
        "tenant_id": "shop",
        "event_metadata": {
            "event_id": "0197f0aa-0000-7000-8000-000000000001",
            "timestamp": "2026-11-25T10:00:00Z",
            "source_system": "web_app",
        },
        "event_data": {
            "event_type": "transaction",
            "event_subtype": "purchase",
            "business_context": {
                "transaction_context": {"products": lines, "cart_context": {"cart_value": cart_value or {}}}
            },
        },
    }
    return EventDecoder().decode(msgspec.json.encode(document), accepted_at=1_764_064_800.0 + 31_536_000, partition=0)


def verdicts(lines: list[dict[str, Any]], cart_value: dict[str, Any] | None = None) -> dict[str, bool | None]:
    return dict(zip(CHECKS, checks(event(lines, cart_value)), strict=True))


@pytest.mark.parametrize("lines", [[GOOD, NO_CURRENCY], [NO_CURRENCY, GOOD], [NO_CURRENCY, NOTHING, GOOD]])
def test_one_line_without_a_currency_fails_wherever_it_stands(lines: list[dict[str, Any]]) -> None:
    assert verdicts(lines)["currency"] is False
    assert verdicts(lines)["price"] is True


@pytest.mark.parametrize("lines", [[GOOD, BELOW_ZERO], [BELOW_ZERO, GOOD], [BELOW_ZERO, NOTHING, GOOD]])
def test_one_price_below_zero_fails_wherever_it_stands(lines: list[dict[str, Any]]) -> None:
    assert verdicts(lines)["price"] is False
    assert verdicts(lines)["currency"] is True


def test_what_does_not_apply_is_neither() -> None:
    found = verdicts([NOTHING])
    assert (found["currency"], found["place"], found["price"], found["total"]) == (None, None, None, None)


@pytest.mark.parametrize(("total", "follows"), [("97.00", True), ("97.07", True), ("97.08", False), ("96.92", False)])
def test_a_total_follows_within_a_cent_for_each_part_and_one_more(total: str, follows: bool) -> None:
    value = {
        "subtotal": "90.00",
        "final_total": total,
        "discounts_applied": [{"discount_amount": "10.00"}],
        "tax_breakdown": [{"amount": "8.00"}, {"amount": "2.00"}],
        "shipping_costs": {"base_shipping": "5.00", "expedited_fee": "2.00"},
    }
    assert verdicts([GOOD], value)["total"] is follows
