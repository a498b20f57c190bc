"""The ten metrics once more, the plain way: everything in memory, one pass a metric, grouped with dictionaries.

This is the second opinion on the rollups (`weir_analytics.domain.rollup`): it shares no code path with them, neither the
event structs nor the facts, sessions or order book; it reads the JSON as dictionaries. Only what *defines* a number is
common: the 64-bit hash, the distinct count, the bucket of a histogram, and the reading of codes, amounts and times. It is
used on the events of the archive and in tests.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from weir_analytics.domain.event import UNKNOWN, country_code, currency_code, plausible
from weir_analytics.domain.metric import Dimensions, Distinct, Figure, Figures, Quantile, Ranked, Ratio, Total
from weir_analytics.domain.sketches.distinct_count import DistinctCount, hash64
from weir_analytics.domain.sketches.log_histogram import LogHistogram
from weir_analytics.domain.storable import storable

Json = Mapping[str, Any]
InRange = Callable[[datetime], bool]


def recompute(events: Iterable[Json], decisions: Iterable[Json], start: datetime, end: datetime) -> dict[str, Figures]:
    """Figures of every metric over [start, end) from *all* events and decisions of one tenant, in any order.

    Numbers must have been parsed as Decimal where they have a fraction. Events outside of the range are needed too: they decide
    which session an event belongs to and which event of an order was the first.
    """
    unique = {event["event_metadata"]["event_id"]: event for event in events}.values()

    def in_range(at: datetime) -> bool:
        return start <= at < end

    orders = [order for order in _orders(unique) if in_range(_time(order))]
    sessions = [session for session in _sessions(unique) if in_range(session[0]["at"])]
    converted = sum(any(step["purchase"] for step in session) for session in sessions)
    return {
        "total_sales": _total_sales(orders),
        "orders": _order_count(orders),
        "average_order_value": _average_order_value(orders),
        "sessions": {(): Total(Decimal(len(sessions)), len(sessions))},
        "session_conversion_rate": {(): Ratio(Decimal(converted), Decimal(len(sessions)))},
        "active_people": {(): _active_people(unique, in_range)},
        "fraud_rate": _fraud_rate(decisions, in_range),
        "top_categories": _top_categories(orders),
        "sales_by_country": _sales_by_country(orders),
        "page_load_p95": {(): _page_load_p95(unique, in_range)},
    }


# ── orders ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _orders(events: Iterable[Json]) -> list[Json]:
    """The earliest purchase event of each order."""
    firsts: dict[str, Json] = {}
    purchases = [event for event in events if _type(event) == ("transaction", "purchase")]
    for event in sorted(purchases, key=lambda event: (_time(event), storable(_event_id(event)))):
        firsts.setdefault(_order_key(event), event)
    return list(firsts.values())


def _order_key(event: Json) -> str:
    order_id = _at(event, "event_data", "business_context", "transaction_context", "order_id")
    cart_id = _at(event, "event_data", "business_context", "transaction_context", "cart_context", "cart_id")
    if isinstance(order_id, str) and order_id:
        return f"order:{order_id}"
    return f"cart:{cart_id}" if cart_id else f"event:{_event_id(event)}"


def _cart_value(order: Json) -> Json:
    path = ("event_data", "business_context", "transaction_context", "cart_context", "cart_value")
    return _at(order, *path) or {}


def _products(order: Json) -> list[Json]:
    return _at(order, "event_data", "business_context", "transaction_context", "products") or []


def _currency(order: Json) -> str | None:
    stated = _cart_value(order).get("currency")
    if stated is not None:
        return currency_code(stated)
    codes = {code for product in _products(order) if (code := currency_code(_at(product, "pricing", "currency")))}
    return next(iter(codes)) if len(codes) == 1 else None


def _total_sales(orders: Iterable[Json]) -> Figures:
    sales: defaultdict[Dimensions, list[Decimal]] = defaultdict(list)
    for order in orders:
        currency, paid = _currency(order), _money(_cart_value(order).get("final_total"))
        if currency and paid is not None:
            sales[(currency,)].append(paid)
    return {key: Total(sum(amounts, Decimal(0)), len(amounts)) for key, amounts in sales.items()}


def _order_count(orders: Iterable[Json]) -> Figures:
    counts = Counter(_currency(order) or "XXX" for order in orders)
    return {(currency,): Total(Decimal(count), count) for currency, count in counts.items()}


def _average_order_value(orders: Iterable[Json]) -> Figures:
    values: defaultdict[Dimensions, list[Decimal]] = defaultdict(list)
    for order in orders:
        currency, goods = _currency(order), _goods(order)
        if currency and goods is not None:
            values[(currency,)].append(goods)
    return {key: Ratio(sum(amounts, Decimal(0)), Decimal(len(amounts))) for key, amounts in values.items()}


def _goods(order: Json) -> Decimal | None:
    goods = _money(_cart_value(order).get("subtotal"))
    if goods is None:
        lines = [_line_amount(product) for product in _products(order)]
        if not lines or any(amount is None for amount in lines):
            return None
        goods = sum((amount for amount in lines if amount is not None), Decimal(0))
    for discount in _cart_value(order).get("discounts_applied") or []:
        goods -= _money(discount.get("discount_amount")) or Decimal(0)
    return goods


def _line_amount(product: Json) -> Decimal | None:
    price, quantity = _money(_at(product, "pricing", "sale_price")), product.get("quantity")
    if price is None or type(quantity) is not int or quantity < 1:
        return None
    return plausible(price * quantity)


def _top_categories(orders: Iterable[Json]) -> Figures:
    lines: defaultdict[Dimensions, defaultdict[str, list[Decimal]]] = defaultdict(lambda: defaultdict(list))
    for order in orders:
        currency, products = _currency(order), _products(order)
        if not currency:
            continue
        for product in products:
            amount = _line_amount(product)
            if amount is None and len(products) == 1:
                amount = _money(_cart_value(order).get("subtotal"))
            category = _at(product, "product_hierarchy", "category_l1")
            lines[(currency,)][storable(category) if category else UNKNOWN].append(amount or Decimal(0))
    return {
        currency: tuple(
            sorted(
                (Ranked(category, sum(amounts, Decimal(0)), len(amounts)) for category, amounts in categories.items()),
                key=lambda place: (-place.value, -place.count, place.item),
            )[:10]
        )
        for currency, categories in lines.items()
    }


def _sales_by_country(orders: Iterable[Json]) -> Figures:
    sales: defaultdict[Dimensions, list[Decimal]] = defaultdict(list)
    shipping = (
        "event_data",
        "business_context",
        "transaction_context",
        "cart_context",
        "payment_context",
        "shipping_context",
        "shipping_address",
        "country",
    )
    for order in orders:
        currency, paid = _currency(order), _money(_cart_value(order).get("final_total"))
        if currency and paid is not None:
            sales[(country_code(_at(order, *shipping)), currency)].append(paid)
    return {key: Total(sum(amounts, Decimal(0)), len(amounts)) for key, amounts in sales.items()}


# ── sessions ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _sessions(events: Iterable[Json]) -> list[list[dict[str, Any]]]:
    """Every device's activity, cut into sessions; each session is the list of its steps."""
    devices: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        user = _at(event, "event_data", "user_context")
        source = event["event_metadata"].get("source_system")
        if (
            not user
            or _refuses(event, "analytics_consent")
            or _refuses(event, "tracking_consent")
            or _type(event)[0] not in ("user_interaction", "transaction")
            or source not in ("web_app", "mobile_app")
        ):
            continue
        session = user.get("session_data") or {}
        fingerprint = _at(session, "session_attributes", "device_fingerprint")
        if user.get("anonymous_id"):
            device = "anonymous:" + user["anonymous_id"]
        elif fingerprint:
            device = "device:" + fingerprint
        elif user.get("user_id"):
            device = "user:" + user["user_id"]
        else:
            continue
        devices[device].append(
            {
                "at": _time(event),
                "order": (_time(event), session.get("session_sequence") or 0, storable(_event_id(event))),
                "client_session": session.get("session_id") or None,
                "user": user.get("user_id") or None,
                "purchase": _type(event) == ("transaction", "purchase"),
            }
        )
    sessions: list[list[dict[str, Any]]] = []
    for steps in devices.values():
        steps.sort(key=lambda step: step["order"])
        current: list[dict[str, Any]] = []
        user_in_session = None
        for step in steps:
            previous = current[-1] if current else None
            if (
                previous is None
                or step["at"] - previous["at"] > timedelta(minutes=30)
                or step["at"] - current[0]["at"] > timedelta(hours=24)
                or _differ(step["client_session"], previous["client_session"])
                or _differ(step["user"], user_in_session)
            ):
                current = []
                user_in_session = None
                sessions.append(current)
            current.append(step)
            user_in_session = step["user"] or user_in_session
    return sessions


def _differ(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one != other


# ── people, pages, payments ─────────────────────────────────────────────────────────────────────────────────────────────


def _active_people(events: Iterable[Json], in_range: InRange) -> Figure:
    people = set()
    for event in events:
        if _refuses(event, "analytics_consent") or _refuses(event, "tracking_consent"):
            continue
        user = _at(event, "event_data", "user_context") or {}
        fingerprint = _at(user, "session_data", "session_attributes", "device_fingerprint")
        person = (
            (user.get("user_id") and "user:" + user["user_id"])
            or (user.get("anonymous_id") and "anonymous:" + user["anonymous_id"])
            or (fingerprint and "device:" + fingerprint)
        )
        if person and _type(event)[0] in ("user_interaction", "transaction") and in_range(_time(event)):
            people.add(person)
    distinct = DistinctCount.of(hash64(person) for person in people)
    return Distinct(distinct.count(), exact=len(people) <= 1024)


def _page_load_p95(events: Iterable[Json], in_range: InRange) -> Figure:
    path = (
        *("event_data", "business_context", "interaction_context"),
        *("page_context", "page_load_metrics", "largest_contentful_paint"),
    )
    paints = [
        float(_at(event, *path))
        for event in events
        if in_range(_time(event)) and _at(event, *path) is not None and not _refuses(event, "analytics_consent")
    ]
    paints = [paint for paint in paints if 0 <= paint < float("inf")]
    return Quantile(LogHistogram.of(paints).quantile(0.95), len(paints))


def _fraud_rate(decisions: Iterable[Json], in_range: InRange) -> Figures:
    scored: defaultdict[Dimensions, list[Decimal]] = defaultdict(list)
    declined: defaultdict[Dimensions, list[Decimal]] = defaultdict(list)
    unique = {decision["event_id"]: decision for decision in decisions}.values()
    for decision in unique:
        if not in_range(_parsed(decision["event_timestamp"])):
            continue
        amounts: dict[Dimensions, Decimal] = {("count",): Decimal(1)}
        amount, currency = _money(decision.get("amount")), currency_code(decision.get("currency"))
        if amount is not None and currency is not None:
            amounts[(currency,)] = amount
        for key, value in amounts.items():
            scored[key].append(value)
            if decision["outcome"] == "decline":
                declined[key].append(value)
    rates = {key: Ratio(sum(declined[key], Decimal(0)), sum(amounts, Decimal(0))) for key, amounts in scored.items()}
    # Payments of nothing say nothing about money.
    return {key: rate for key, rate in rates.items() if rate.denominator}


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _at(value: Any, *path: str) -> Any:
    """What lies under a path of member names; None where it ends early."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _refuses(event: Json, consent: str) -> bool:
    """Read from the event as it was sent, not from what ingest made of it: so both are checked."""
    settings = ("event_data", "user_context", "user_profile", "preferences", "privacy_settings")
    return _at(event, *settings, consent) is False


def _type(event: Json) -> tuple[str, str]:
    return event["event_data"]["event_type"], event["event_data"]["event_subtype"]


def _event_id(event: Json) -> str:
    return str(event["event_metadata"]["event_id"])


def _time(event: Json) -> datetime:
    return _parsed(event["event_metadata"]["timestamp"])


def _parsed(text: str) -> datetime:
    return msgspec.convert(text, datetime)


def _money(value: object) -> Decimal | None:
    """Numbers, and texts that are numbers, as the schema allows both."""
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return None
    return plausible(Decimal(value))
