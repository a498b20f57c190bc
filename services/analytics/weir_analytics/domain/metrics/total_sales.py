"""total_sales: what customers paid, before returns; "revenue" on the dashboard."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from weir_common.consent import Purpose

from weir_analytics.domain.facts import Purchase
from weir_analytics.domain.metric import Additivity, Count, Example, Metric, Total


def measure(purchase: Purchase) -> Iterator[Count]:
    if purchase.currency is not None and purchase.final_total is not None:
        yield Count((purchase.currency,), purchase.final_total, 1)


def _purchase(order: str, currency: str, final_total: str) -> Purchase:
    return Purchase(0, order, order, currency, Decimal(final_total), None, "US", ())


METRIC = Metric(
    name="total_sales",
    title="Revenue",
    additivity=Additivity.ADDITIVE,
    purpose=Purpose.TRADE,
    unit="currency",
    source="weir.ingest.events.v2",
    where="event_type is transaction and event_subtype is purchase; the first event of each order",
    value="cart_value.final_total, in the currency of the cart, else the one that all lines share",
    dimensions=("currency",),
    description="What customers paid: goods less discounts, with tax and shipping, before returns. One figure for each currency.",
    follows="Shopify's total sales, before returns.",
    trap="Currencies are never added: 100 USD and 100 JPY are not 200 of anything.",
    fact=Purchase,
    measure=measure,
    example=Example(
        facts=(_purchase("a", "USD", "1812.97"), _purchase("b", "USD", "0.03"), _purchase("c", "JPY", "26400")),
        figures={("USD",): Total(Decimal("1813.00"), 2), ("JPY",): Total(Decimal(26400), 1)},
    ),
)
