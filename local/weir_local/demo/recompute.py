"""The dashboard's figures once more, from the input and by the simplest means; shares no code with analytics."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from weir_local.demo.shoppers import Event

IDLE = timedelta(minutes=30)
CAP = timedelta(hours=24)

Figures = dict[str, Any]


def figures(events: Iterable[Event], outcomes: Mapping[str, str]) -> Figures:
    """Expected figures of one tenant from the events that were accepted and the outcome of each payment (by event id)."""
    unique = list({event["event_metadata"]["event_id"]: event for event in events}.values())
    orders = _orders(unique)
    totals = [_money(order, "final_total") for order in orders]
    goods = [_money(order, "subtotal") for order in orders]
    categories: dict[str, Decimal] = defaultdict(Decimal)
    countries: dict[str, Decimal] = defaultdict(Decimal)
    for order in orders:
        context = order["event_data"]["business_context"]["transaction_context"]
        for line in context["products"]:
            price = Decimal(str(line["pricing"]["sale_price"]))
            categories[_category(line)] += price * line.get("quantity", 1)
        countries[_country(context)] += _money(order, "final_total")
    # Money counts whoever spends it; what people do is counted of those who did not refuse it.
    measured = [event for event in unique if not _refuses(event, "analytics")]
    known_again = [event for event in measured if not _refuses(event, "tracking")]
    sessions = _sessions(known_again)
    loads = sorted(load for event in measured if (load := _load(event)) is not None)
    declined = sum(outcome == "decline" for outcome in outcomes.values())
    return {
        "total_sales": str(sum(totals, Decimal(0))),
        "orders": len(orders),
        "average_order_value": _divide(sum(goods, Decimal(0)), len(orders)),
        "sessions": len(sessions),
        "session_conversion_rate": [sum(sessions), len(sessions)],
        "active_people": len({person for event in known_again if (person := _person(event))}),
        "fraud_rate": [declined, len(outcomes)],
        "top_categories": [
            [name, str(amount)] for name, amount in sorted(categories.items(), key=lambda item: (-item[1], item[0]))[:5]
        ],
        "sales_by_country": {name: str(amount) for name, amount in sorted(countries.items())},
        "page_load_p95": loads[math.ceil(0.95 * len(loads)) - 1] if loads else None,
        "refused": {name: sum(_refuses(event, name) for event in unique) for name in ("analytics", "tracking")},
    }


def dashboard_figures(document: Mapping[str, Any], currency: str) -> Figures:
    """The same figures as the dashboard gives them."""
    metrics = document["metrics"]

    def first(name: str, **wanted: str) -> Mapping[str, Any]:
        for figure in metrics[name]["figures"]:
            if all(figure.get(key) == value for key, value in wanted.items()):
                return dict(figure)
        return {}

    order_value = first("average_order_value", currency=currency)
    conversion = first("session_conversion_rate")
    fraud = first("fraud_rate", basis="count")
    return {
        "total_sales": first("total_sales", currency=currency).get("value", "0"),
        "orders": int(first("orders", currency=currency).get("value", 0)),
        "average_order_value": _divide(
            Decimal(order_value.get("numerator", "0")), int(order_value.get("denominator", "0"))
        ),
        "sessions": int(first("sessions").get("value", 0)),
        "session_conversion_rate": [int(conversion.get("numerator", 0)), int(conversion.get("denominator", 0))],
        "active_people": first("active_people").get("value", 0),
        "fraud_rate": [int(fraud.get("numerator", 0)), int(fraud.get("denominator", 0))],
        "top_categories": [
            [place["item"], place["value"]]
            for place in first("top_categories", currency=currency).get("places", [])[:5]
        ],
        "sales_by_country": {
            figure["country"]: figure["value"]
            for figure in sorted(metrics["sales_by_country"]["figures"], key=lambda figure: str(figure["country"]))
            if figure["currency"] == currency
        },
        "page_load_p95": first("page_load_p95").get("value"),
        "refused": {name: document["left_out"].get(f"{name}_refused", 0) for name in ("analytics", "tracking")},
    }


def differences(expected: Figures, shown: Figures) -> list[str]:
    """Names of the figures that are not equal. A percentile comes from a histogram: within 1 % is equal."""
    wrong: list[str] = []
    for name, value in expected.items():
        other = shown[name]
        if name == "page_load_p95":
            same = value == other or (value and other and abs(other - value) <= 0.0101 * value)
        elif name in ("total_sales", "average_order_value"):
            same = Decimal(str(value)) == Decimal(str(other))
        elif name == "top_categories":
            same = [(item, Decimal(amount)) for item, amount in value] == [
                (item, Decimal(amount)) for item, amount in other
            ]
        elif name == "sales_by_country":
            same = {key: Decimal(amount) for key, amount in value.items()} == {
                key: Decimal(amount) for key, amount in other.items()
            }
        else:
            same = value == other
        if not same:
            wrong.append(name)
    return wrong


def _orders(events: Iterable[Event]) -> list[Event]:
    """Purchases, the earliest of each order."""
    firsts: dict[str, Event] = {}
    purchases = [event for event in events if event["event_data"]["event_subtype"] == "purchase"]
    for event in sorted(purchases, key=lambda event: (_at(event), event["event_metadata"]["event_id"])):
        context = event["event_data"]["business_context"]["transaction_context"]
        firsts.setdefault(context.get("order_id") or context["cart_context"]["cart_id"], event)
    return list(firsts.values())


def _sessions(events: Iterable[Event]) -> list[bool]:
    """One entry a device session: whether it holds a purchase."""
    devices: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for event in events:
        data = event["event_data"]
        if data["event_type"] not in ("user_interaction", "transaction"):
            continue
        if event["event_metadata"]["source_system"] not in ("web_app", "mobile_app"):
            continue
        user = data.get("user_context") or {}
        session = user.get("session_data") or {}
        device = (
            user.get("anonymous_id")
            or (session.get("session_attributes") or {}).get("device_fingerprint")
            or user.get("user_id")
        )
        if not device:
            continue
        devices[device].append(
            (
                _at(event),
                session.get("session_sequence") or 0,
                event["event_metadata"]["event_id"],
                session.get("session_id"),
                user.get("user_id"),
                data["event_subtype"] == "purchase",
            )
        )
    found: list[bool] = []
    for steps in devices.values():
        start = last = client = person = None
        for at, _, _, session_id, user_id, purchase in sorted(steps):
            fresh = (
                last is None
                or at - last > IDLE
                or at - start > CAP
                or (session_id and client and session_id != client)
                or (user_id and person and user_id != person)
            )
            if fresh:
                found.append(False)
                start, person = at, None
            last, client, person = at, session_id, user_id or person
            found[-1] = found[-1] or purchase
    return found


def count_by_subtype(events: Iterable[Event]) -> Counter[str]:
    """How many events of each kind."""
    return Counter(event["event_data"]["event_subtype"] for event in events)


def _at(event: Event) -> datetime:
    return datetime.fromisoformat(event["event_metadata"]["timestamp"])


def _money(event: Event, name: str) -> Decimal:
    context = event["event_data"]["business_context"]["transaction_context"]
    return Decimal(str(context["cart_context"]["cart_value"][name]))


def _category(line: Event) -> str:
    return str((line.get("product_hierarchy") or {}).get("category_l1") or "unknown")


def _country(context: Event) -> str:
    shipping = ((context["cart_context"].get("payment_context") or {}).get("shipping_context") or {}).get(
        "shipping_address"
    ) or {}
    return str(shipping.get("country") or "unknown")


def _load(event: Event) -> float | None:
    interaction = (event["event_data"].get("business_context") or {}).get("interaction_context") or {}
    metrics = (interaction.get("page_context") or {}).get("page_load_metrics") or {}
    return metrics.get("largest_contentful_paint")


def _refuses(event: Event, name: str) -> bool:
    profile = (event["event_data"].get("user_context") or {}).get("user_profile") or {}
    settings = (profile.get("preferences") or {}).get("privacy_settings") or {}
    return settings.get(f"{name}_consent") is False


def _person(event: Event) -> str:
    if event["event_data"]["event_type"] not in ("user_interaction", "transaction"):
        return ""
    user = event["event_data"].get("user_context") or {}
    device = ((user.get("session_data") or {}).get("session_attributes") or {}).get("device_fingerprint")
    return str(user.get("user_id") or user.get("anonymous_id") or device or "")


def _divide(amount: Decimal, count: int) -> str:
    return str((amount / count).quantize(Decimal("0.0001"))) if count else "0"
