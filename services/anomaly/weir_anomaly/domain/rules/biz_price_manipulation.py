"""``biz.price_manipulation``: a wrong or forged price (catalogue rule 12).

Parts: (a) the cart's arithmetic, when the buyer pays less than it gives; (b) a price in the cart below every price that this
customer was shown in the last 24 hours; (c) a price change by a factor of two against the product's own history; (d) a sale
under cost without a discount or clearance.

Left for later: (b) against the price served per experiment and segment by the shop's own catalogue, (e) churn of changes by one
actor, exposure, the sales calendar.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any, Final

from weir_anomaly.domain.entity import Entity, entity
from weir_anomaly.domain.event import Event, Line, amount
from weir_anomaly.domain.rule import Hit, Observation, Rule, State
from weir_anomaly.domain.severity import Severity
from weir_anomaly.domain.storable import hash64, shown_text

SERVED_SECONDS: Final = 86_400.0
BELOW_SERVED: Final = 0.99
JUMP: Final = math.log(2)
ROBUST_Z: Final = 6.0
MIN_HISTORY: Final = 8
CRITICAL_ORDERS: Final = 3
_MAX_PRICES: Final = 20
_MAX_SERVED: Final = 120
_CARTS: Final = frozenset({"add_to_cart", "checkout_started", "purchase"})


class Seen(State, frozen=True):
    """A price with its time; ``key`` is the product, hashed."""

    key: int
    at: float
    price: float


class PriceState(State, frozen=True):
    """Of a customer: prices shown (120 at most) and forged orders. Of a product: its last 20 prices."""

    seen: tuple[Seen, ...] = ()
    orders: int = 0


class PriceManipulation(Rule):
    """See the module."""

    name = "biz.price_manipulation"
    version = 1
    family = "business"
    title = "Wrong or forged price"
    decides = (
        "A cart's price lies over 1 % below every price shown to this customer in 24 h, its arithmetic favours the buyer, "
        "a product sells under cost, or a price changes by a factor of two against its history."
    )
    wakes = frozenset(
        {
            ("user_interaction", "product_view"),
            ("user_interaction", "add_to_cart"),
            ("user_interaction", "checkout_started"),
            ("transaction", "purchase"),
            ("system_event", "price_changed"),
        }
    )
    entity_kinds = ("user", "visitor", "device", "session", "sku")
    state_type = PriceState
    state_version = 1
    state_seconds = 28 * 86_400.0
    quiet_seconds = 3_600.0
    rest_seconds = 3_600.0

    def entities(self, event: Event) -> Sequence[Entity]:
        """A price change concerns a product; everything else a customer."""
        if event.subtype == "price_changed":
            line = event.lines[0] if event.lines else None
            return (_sku(line),) if line is not None and line.product_id and _price(line) is not None else ()
        if event.source == "batch_import":
            return ()
        return (event.customer_entity,)

    def observe(self, states: Sequence[Any], event: Event) -> Observation:
        """Views teach what was shown; carts are judged by it."""
        key = self.entities(event)[0]
        known: PriceState = states[0] if states[0] is not None else PriceState()
        if event.subtype == "price_changed":
            return _changed(known, event, key)
        if event.subtype == "product_view":
            return (_learn(known, event),), ()
        hits: list[Hit] = []
        if event.subtype in _CARTS:
            forged = list(_below_served(known, event))
            if forged:
                orders = known.orders + (event.subtype == "purchase")
                hits.append(_forged(event, key, forged, orders))
                known = PriceState(known.seen, orders)
        if event.subtype == "purchase":
            for judge in (_arithmetic, _under_cost):
                hit = judge(event, key)
                if hit is not None:
                    hits.append(hit)
        hits.sort(key=lambda hit: -hit.severity.rank)
        # One incident of one customer: the worst part speaks for it.
        return (known,), hits[:1]


def _learn(known: PriceState, event: Event) -> PriceState:
    shown = [
        Seen(hash64(line.product_id), event.at, price)
        for line in event.lines
        if line.product_id and (price := _price(line)) is not None
    ]
    if not shown:
        return known
    recent = [seen for seen in known.seen if event.at - seen.at <= SERVED_SECONDS]
    return PriceState(tuple([*recent, *shown][-_MAX_SERVED:]), known.orders)


def _below_served(known: PriceState, event: Event) -> Iterator[tuple[Line, float, float]]:
    for line in event.lines:
        price = _price(line)
        if price is None or not line.product_id:
            continue
        key = hash64(line.product_id)
        served = [seen.price for seen in known.seen if seen.key == key and abs(event.at - seen.at) <= SERVED_SECONDS]
        if served and price < BELOW_SERVED * min(served):
            yield line, price, min(served)


def _forged(event: Event, key: Entity, forged: Sequence[tuple[Line, float, float]], orders: int) -> Hit:
    line, price, served = min(forged, key=lambda found: found[1] / found[2] if found[2] else 1)
    return Hit(
        entity=key,
        severity=Severity.CRITICAL if orders >= CRITICAL_ORDERS else Severity.HIGH,
        window_start=event.at,
        window_end=event.at,
        observed=price,
        expected=served,
        unit=line.pricing.currency or "currency" if line.pricing is not None else "currency",
        score=(served - price) / served if served else 1.0,
        threshold=1 - BELOW_SERVED,
        layer="entity",
        cleared_by=f"a price of at least {served * BELOW_SERVED:.2f}",
        evidence={
            "part": "cart price below every price shown",
            "lines": [
                {"product_id": shown_text(each.product_id or "", 64), "in_cart": charged, "lowest_shown": lowest}
                for each, charged, lowest in forged[:10]
            ],
            "orders": orders,
            "subtype": event.subtype,
        },
    )


def _arithmetic(event: Event, key: Entity) -> Hit | None:
    cart = event.cart
    value = cart.cart_value if cart is not None else None
    if value is None:
        return None
    total, subtotal = amount(value.final_total), amount(value.subtotal)
    if total is None or subtotal is None:
        return None
    shipping = value.shipping_costs
    terms = [
        *(-(amount(discount.discount_amount) or 0.0) for discount in value.discounts_applied or ()),
        *((amount(tax.amount) or 0.0) for tax in value.tax_breakdown or ()),
        *(
            (amount(getattr(shipping, name)) or 0.0)
            for name in ("base_shipping", "expedited_fee", "insurance")
            if shipping is not None
        ),
    ]
    computed = subtotal + sum(terms)
    tolerance = 0.01 * len(terms) + 0.01
    short = computed - total
    # Less than the tolerance is rounding; to the shop's favour is a matter of data quality.
    if short <= tolerance + 1e-9:
        return None
    return Hit(
        entity=key,
        severity=Severity.MEDIUM,
        window_start=event.at,
        window_end=event.at,
        observed=total,
        expected=round(computed, 2),
        spread=tolerance,
        unit="currency",
        score=short / tolerance,
        threshold=1.0,
        layer="peers",
        cleared_by=f"a total of at least {computed - tolerance:.2f}",
        evidence={
            "part": "arithmetic",
            "subtotal": subtotal,
            "terms": [round(term, 4) for term in terms],
            "total": total,
        },
    )


def _under_cost(event: Event, key: Entity) -> Hit | None:
    cart = event.cart
    value = cart.cart_value if cart is not None else None
    if value is not None and value.discounts_applied:
        return None
    for line in event.lines:
        pricing = line.pricing
        price, cost = _price(line), amount(pricing.cost_basis) if pricing is not None else None
        clearance = (line.attributes is not None and line.attributes.condition in ("used", "refurbished")) or (
            line.inventory is not None and line.inventory.sku_availability == "discontinued"
        )
        if price is None or cost is None or cost <= 0 or price >= cost or clearance:
            continue
        return Hit(
            entity=key,
            severity=Severity.MEDIUM,
            window_start=event.at,
            window_end=event.at,
            observed=price,
            expected=cost,
            unit="currency",
            score=(cost - price) / cost,
            threshold=0.0,
            layer="peers",
            cleared_by=f"a price of at least its cost, {cost:.2f}",
            evidence={"part": "under cost", "product_id": shown_text(line.product_id or "", 64)},
        )
    return None


def _changed(known: PriceState, event: Event, key: Entity) -> Observation:
    price = _price(event.lines[0])
    if price is None or price <= 0:
        return (known,), ()
    history = [math.log(seen.price) for seen in known.seen if seen.price > 0]
    grown = PriceState((*known.seen, Seen(0, event.at, price))[-_MAX_PRICES:], known.orders)
    if len(history) < MIN_HISTORY:
        return (grown,), ()
    middle = median(history)
    deviation = median(abs(value - middle) for value in history)
    shift = math.log(price) - middle
    # Constant prices have no deviation: one per cent stands for it.
    z = 0.6745 * abs(shift) / max(deviation, 0.01)
    if abs(shift) < JUMP or z < ROBUST_Z:
        return (grown,), ()
    usual = math.exp(middle)
    return (known,), (
        Hit(
            entity=key,
            severity=Severity.HIGH,
            window_start=event.at,
            window_end=event.at,
            observed=price,
            expected=round(usual, 4),
            unit="currency",
            score=z,
            threshold=ROBUST_Z,
            layer="entity",
            cleared_by=f"a price between {usual / 2:.2f} and {usual * 2:.2f}",
            evidence={
                "part": "jump",
                "factor": round(price / usual, 4),
                "history": [round(math.exp(v), 4) for v in history[-10:]],
            },
        ),
    )


def _price(line: Line) -> float | None:
    return amount(line.pricing.sale_price) if line.pricing is not None else None


def _sku(line: Line) -> Entity:
    return entity("sku", line.product_id or "")
