"""orders: how many orders were placed."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from weir_common.consent import Purpose

from weir_analytics.domain.facts import Purchase
from weir_analytics.domain.metric import Additivity, Count, Example, Metric, Total

NO_CURRENCY = "XXX"
"""ISO 4217 for "no currency": an order is an order, also when nobody can say what it cost."""


def measure(purchase: Purchase) -> Iterator[Count]:
    yield Count((purchase.currency or NO_CURRENCY,), 1, 1)


def _purchase(order: str, currency: str | None) -> Purchase:
    return Purchase(0, order, order, currency, Decimal(1), None, "US", ())


METRIC = Metric(
    name="orders",
    title="Orders",
    additivity=Additivity.ADDITIVE,
    purpose=Purpose.TRADE,
    unit="orders",
    source="weir.ingest.events.v2",
    where="event_type is transaction and event_subtype is purchase; the first event of each order",
    value="one for each order: order_id, else cart_id, else the event itself",
    dimensions=("currency",),
    description="Orders placed. Of several purchase events with one order id the earliest counts, the others are shown as left out.",
    follows="Shopify's orders: cancelled and unpaid ones included.",
    trap="A client that sends a purchase again under a new event id has not sold twice: orders are counted, not events.",
    fact=Purchase,
    measure=measure,
    example=Example(
        facts=(_purchase("a", "USD"), _purchase("b", "USD"), _purchase("c", None)),
        figures={("USD",): Total(Decimal(2), 2), (NO_CURRENCY,): Total(Decimal(1), 1)},
    ),
)
