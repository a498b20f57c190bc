"""What a generator makes: the events of one episode, with the label beside them and never inside."""

from __future__ import annotations

import hashlib
import random
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

EventDocument = dict[str, Any]


@dataclass(frozen=True)
class Episode:
    """One attack (or its benign twin): which rule should find it, on which entity, from when to when."""

    name: str
    rule: str
    tenant_id: str
    entity: str
    start: datetime
    end: datetime
    events: tuple[EventDocument, ...]
    malicious: bool = True


class Actor:
    """Builds events of one client. Everything follows from the seed."""

    def __init__(
        self, seed: str, tenant_id: str, *, user: str | None = None, place: tuple[float, float, str] | None = None
    ) -> None:
        self.chance = random.Random(seed)
        self._seed = seed
        self._tenant_id = tenant_id
        self._count = 0
        self._carts = 0
        self.user = user
        self.device = _hash(f"{seed}/device")
        self.cookie = _hash(f"{seed}/cookie")
        self.session = _uuid(f"{seed}/session")
        self.place = place

    def event(
        self,
        at: datetime,
        kind: str,
        subtype: str,
        *,
        transaction: EventDocument | None = None,
        page: EventDocument | None = None,
        security: EventDocument | None = None,
        source: str = "web_app",
    ) -> EventDocument:
        """One event of schema 2.1."""
        self._count += 1
        attributes: EventDocument = {
            "device_fingerprint": self.device,
            "user_agent_parsed": {
                "browser": {"name": "Chrome", "version": "120.0.0"},
                "os": {"name": "Windows", "version": "11"},
                "device": {"type": "desktop"},
            },
        }
        if self.place is not None:
            lat, lon, country = self.place
            attributes["geolocation"] = {
                "country": country,
                "coordinates": {"lat": lat, "lon": lon},
                "accuracy_meters": 50,
                "ip_derived": False,
            }
        business: EventDocument = {"tenant_metadata": {"merchant_id": self._tenant_id}}
        if transaction is not None:
            business["transaction_context"] = transaction
        if page is not None:
            business["interaction_context"] = {"page_context": page}
        data: EventDocument = {
            "event_type": kind,
            "event_subtype": subtype,
            "user_context": {
                **({"user_id": self.user} if self.user else {}),
                "anonymous_id": self.cookie,
                "session_data": {
                    "session_id": self.session,
                    "session_sequence": self._count,
                    "session_attributes": attributes,
                },
            },
            "business_context": business,
        }
        if security is not None:
            data["technical_context"] = {"security_context": security}
        return {
            "schema_version": "2.1",
            "tenant_id": self._tenant_id,
            "event_metadata": {
                "event_id": _uuid(f"{self._seed}/{self._count}"),
                "timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "source_system": source,
                "event_version": "1.0.0",
            },
            "event_data": data,
        }

    def cart(
        self, amount: float, *, token: str, product: EventDocument | None = None, currency: str = "USD"
    ) -> EventDocument:
        """A cart with one line and one card."""
        self._carts += 1
        line = product or line_of(f"sku-{self._carts}", amount, currency)
        return {
            "order_id": _uuid(f"{self._seed}/order/{self._carts}"),
            "products": [line],
            "cart_context": {
                "cart_id": _uuid(f"{self._seed}/cart/{self._carts}"),
                "cart_value": {"subtotal": amount, "final_total": amount, "currency": currency},
                "payment_context": {
                    "payment_methods": [
                        {"method_type": "credit_card", "provider": "visa", "tokenized_identifier": token}
                    ]
                },
            },
        }

    def page(self, kind: str, path: str, *, human: bool = True) -> EventDocument:
        """A page; a human's has load metrics, a referrer and an interaction."""
        page: EventDocument = {"page_type": kind, "page_url": f"https://shop.example/{path}"}
        if human:
            page["referrer_url"] = "https://shop.example/"
            page["page_load_metrics"] = {"largest_contentful_paint": round(self.chance.lognormvariate(7.2, 0.4))}
            page["user_interactions"] = [
                {
                    "interaction_type": "click",
                    "coordinates": {"x": self.chance.randrange(1200), "y": self.chance.randrange(800)},
                }
            ]
        return page

    def token(self, number: int) -> str:
        """The n-th card of this actor."""
        return _hash(f"{self._seed}/card/{number}")


def line_of(product_id: str, price: float, currency: str = "USD") -> EventDocument:
    """One product, one piece."""
    return {
        "product_id": product_id,
        "quantity": 1,
        "product_hierarchy": {"category_l1": "GIFT CARDS"},
        "pricing": {"sale_price": price, "list_price": price, "currency": currency},
    }


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _uuid(text: str) -> str:
    return str(uuid.UUID(bytes=hashlib.sha256(text.encode()).digest()[:16], version=4))
