"""average_order_value: goods less discounts, for each order."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from weir_common.consent import Purpose

from weir_analytics.domain.facts import Purchase
from weir_analytics.domain.metric import Additivity, Count, Example, Metric, Ratio


def measure(purchase: Purchase) -> Iterator[Count]:
    if purchase.currency is not None and purchase.goods is not None:
        yield Count((purchase.currency,), purchase.goods, 1)


def _purchase(order: str, goods: str) -> Purchase:
    return Purchase(0, order, order, "USD", Decimal(goods), Decimal(goods), "US", ())


METRIC = Metric(
    name="average_order_value",
    title="Average order value",
    additivity=Additivity.RATIO,
    purpose=Purpose.TRADE,
    unit="currency",
    source="weir.ingest.events.v2",
    where="orders (see orders) whose currency and goods value are known",
    value="(cart_value.subtotal − Σ discounts_applied.discount_amount) ÷ orders; without a subtotal Σ sale_price × quantity",
    dimensions=("currency",),
    description="What an order was worth, without tax and shipping, after discounts.",
    follows="Shopify. GA4 takes the purchase revenue that was sent, tax included: its figure is higher.",
    trap="The mean of daily averages is not the average: numerators and denominators add, the division is last.",
    fact=Purchase,
    measure=measure,
    example=Example(
        facts=(_purchase("a", "1619.99"), _purchase("b", "20.01"), _purchase("c", "10")),
        figures={("USD",): Ratio(Decimal("1650.00"), Decimal(3))},
    ),
)
