"""sales_by_country: revenue by the country that it was shipped to."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from weir_common.consent import Purpose

from weir_analytics.domain.facts import Purchase
from weir_analytics.domain.metric import Additivity, Count, Example, Metric, Total


def measure(purchase: Purchase) -> Iterator[Count]:
    if purchase.currency is not None and purchase.final_total is not None:
        yield Count((purchase.country, purchase.currency), purchase.final_total, 1)


def _purchase(country: str, final_total: str) -> Purchase:
    return Purchase(0, country, country, "EUR", Decimal(final_total), None, country, ())


METRIC = Metric(
    name="sales_by_country",
    title="Sales by country",
    additivity=Additivity.ADDITIVE,
    purpose=Purpose.TRADE,
    unit="currency",
    source="weir.ingest.events.v2",
    where="orders (see orders) whose currency and total are known",
    value="cart_value.final_total by shipping_address.country",
    dimensions=("country", "currency"),
    description="Revenue by the country that orders are shipped to; without a shipping country under `unknown`.",
    follows="Shopify's sales by shipping country. Sales by the visitor's country are another metric.",
    trap="`UK` is no ISO 3166 code but is sent: it is counted as GB. Unknown countries are a row of their own, not the home country.",
    fact=Purchase,
    measure=measure,
    example=Example(
        facts=(_purchase("DE", "10"), _purchase("DE", "2.50"), _purchase("unknown", "1")),
        figures={("DE", "EUR"): Total(Decimal("12.50"), 2), ("unknown", "EUR"): Total(Decimal(1), 1)},
    ),
    series=False,
)
