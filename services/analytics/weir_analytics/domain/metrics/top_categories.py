"""top_categories: what was bought, by first-level category."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from weir_common.consent import Purpose

from weir_analytics.domain.facts import OrderLine, Purchase
from weir_analytics.domain.metric import Additivity, Count, Example, Metric, Ranked


def measure(purchase: Purchase) -> Iterator[Count]:
    if purchase.currency is None:
        return
    for line in purchase.lines:
        yield Count((purchase.currency, line.category), line.amount or 0, 1)


METRIC = Metric(
    name="top_categories",
    title="Top categories",
    additivity=Additivity.TOP,
    purpose=Purpose.TRADE,
    unit="currency",
    source="weir.ingest.events.v2",
    where="the lines of orders (see orders) whose currency is known",
    value="Σ sale_price × quantity of the lines of a category_l1; where a single line has no quantity, the subtotal",
    dimensions=("currency", "category"),
    description="The ten categories that sold most, for each currency, with their number of order lines.",
    follows="Shopify's sales by product type, at the sold-as price.",
    trap="A line of several without a quantity has no amount: its line is counted, its money is left out, not guessed as one piece.",
    fact=Purchase,
    measure=measure,
    example=Example(
        facts=(
            Purchase(
                0,
                "a",
                "a",
                "USD",
                Decimal(30),
                None,
                "US",
                (OrderLine("Toys", Decimal(10)), OrderLine("Books", Decimal("15.50")), OrderLine("Toys", None)),
            ),
            Purchase(1, "b", "b", "USD", Decimal(7), None, "US", (OrderLine("Toys", Decimal(7)),)),
        ),
        figures={("USD",): (Ranked("Toys", Decimal(17), 3), Ranked("Books", Decimal("15.50"), 1))},
    ),
    places=10,
    series=False,
)
