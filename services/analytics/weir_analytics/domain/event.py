"""The fields of event 2.1 that analytics reads, and the facts that one event gives.

Unknown fields are ignored. A field that the schema does not know yet (order_id, quantity, cart currency) may hold anything: it is
read where it makes sense and otherwise treated as absent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec
from weir_common.consent import NOTHING, Refused

from weir_analytics.domain.facts import (
    MICROSECONDS,
    Fact,
    Microseconds,
    OrderLine,
    PageLoaded,
    PersonSeen,
    Purchase,
)
from weir_analytics.domain.storable import storable

ACTIVITY_TYPES: Final = frozenset({"user_interaction", "transaction"})
CLIENT_SOURCES: Final = frozenset({"web_app", "mobile_app"})
UNKNOWN: Final = "unknown"
LARGEST_EXPONENT: Final = 15
"""An amount of 10¹⁵ or more is a defect, not money."""
SMALLEST_EXPONENT: Final = -9


class _Node(msgspec.Struct, gc=False):
    """A part of the event."""


class Metadata(_Node):
    event_id: str
    timestamp: Annotated[datetime, msgspec.Meta(tz=True)]
    source_system: str | None = None


class SessionAttributes(_Node):
    device_fingerprint: str | None = None


class SessionData(_Node):
    session_id: str | None = None
    session_sequence: int | None = None
    session_attributes: SessionAttributes | None = None


class UserContext(_Node):
    user_id: str | None = None
    anonymous_id: str | None = None
    session_data: SessionData | None = None


class ProductHierarchy(_Node):
    category_l1: str | None = None


class Pricing(_Node):
    sale_price: Decimal | None = None
    currency: str | None = None


class Product(_Node):
    product_hierarchy: ProductHierarchy | None = None
    pricing: Pricing | None = None
    quantity: Any = None


class Discount(_Node):
    discount_amount: Decimal | None = None


class CartValue(_Node):
    subtotal: Decimal | None = None
    final_total: Decimal | None = None
    discounts_applied: list[Discount] | None = None
    currency: Any = None


class Address(_Node):
    country: str | None = None


class ShippingContext(_Node):
    shipping_address: Address | None = None


class PaymentContext(_Node):
    shipping_context: ShippingContext | None = None


class CartContext(_Node):
    cart_id: str | None = None
    cart_value: CartValue | None = None
    payment_context: PaymentContext | None = None


class TransactionContext(_Node):
    order_id: Any = None
    products: list[Product] | None = None
    cart_context: CartContext | None = None


class PageLoadMetrics(_Node):
    largest_contentful_paint: float | None = None


class PageContext(_Node):
    page_load_metrics: PageLoadMetrics | None = None


class InteractionContext(_Node):
    page_context: PageContext | None = None


class BusinessContext(_Node):
    transaction_context: msgspec.Raw = msgspec.Raw(b"null")
    """A `TransactionContext`, decoded only where it counts: page views carry one too, with all its amounts."""
    interaction_context: InteractionContext | None = None


class EventData(_Node):
    event_type: str
    event_subtype: str
    user_context: UserContext | None = None
    business_context: BusinessContext | None = None


class CommerceEvent(_Node):
    """What analytics knows of one event."""

    event_metadata: Metadata
    event_data: EventData

    @property
    def at(self) -> Microseconds:
        """Event time."""
        return microseconds(self.event_metadata.timestamp)

    @property
    def is_activity(self) -> bool:
        """A person did this, in a client or through a server."""
        return self.event_data.event_type in ACTIVITY_TYPES

    @property
    def is_client_activity(self) -> bool:
        """A person did this in a client that we can see: only such events open and extend device sessions."""
        return self.is_activity and self.event_metadata.source_system in CLIENT_SOURCES

    @property
    def is_purchase(self) -> bool:
        return self.event_data.event_subtype == "purchase" and self.event_data.event_type == "transaction"

    @property
    def person(self) -> str | None:
        """Whom `PersonSeen` names; anonymous visitors are persons of their own until the identity graph joins them."""
        user = self.event_data.user_context
        if user is None:
            return None
        if user.user_id:
            return f"user:{user.user_id}"
        if user.anonymous_id:
            return f"anonymous:{user.anonymous_id}"
        fingerprint = self.device_fingerprint
        return f"device:{fingerprint}" if fingerprint else None

    @property
    def device_fingerprint(self) -> str | None:
        user = self.event_data.user_context
        session = user.session_data if user else None
        attributes = session.session_attributes if session else None
        return attributes.device_fingerprint if attributes else None


_TRANSACTION: Final = msgspec.json.Decoder(TransactionContext | None)

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST: Final = datetime.min.replace(tzinfo=UTC)


def microseconds(moment: datetime) -> Microseconds:
    """Exact, unlike `timestamp()`, whose float rounds."""
    since = moment - EPOCH
    return (since.days * 86_400 + since.seconds) * MICROSECONDS + since.microseconds


def moment(at: Microseconds) -> datetime:
    """The time in UTC."""
    return EPOCH + timedelta(microseconds=at)


def facts_of(event: CommerceEvent, at: Microseconds, refused: Refused = NOTHING) -> Iterator[Fact]:
    """The facts that need no memory; orders and sessions do. `at` is the event's own time."""
    if event.is_activity:
        person = event.person
        if person:
            yield PersonSeen(at, person, refused=refused)
    paint = _largest_contentful_paint(event)
    if paint is not None:
        yield PageLoaded(at, paint, refused=refused)


def purchase_of(event: CommerceEvent, at: Microseconds, refused: Refused = NOTHING) -> Purchase:
    """The order that a purchase event places; the earliest event of an order decides what the order is.

    msgspec.ValidationError if the transaction is not what the schema says.
    """
    business = event.event_data.business_context
    transaction = (_TRANSACTION.decode(business.transaction_context) if business else None) or TransactionContext()
    cart = transaction.cart_context or CartContext()
    value = cart.cart_value or CartValue()
    products = transaction.products or []
    return Purchase(
        at=at,
        order=_order_key(transaction.order_id, cart.cart_id, event.event_metadata.event_id),
        event_id=storable(event.event_metadata.event_id),
        currency=_currency(value.currency, products),
        final_total=plausible(value.final_total),
        goods=_goods(value, products),
        country=_country(cart),
        lines=tuple(_lines(products, plausible(value.subtotal))),
        refused=refused,
    )


def plausible(amount: Decimal | None) -> Decimal | None:
    """The amount, or None where it is absent or nothing that money can be."""
    if amount is None or not amount.is_finite():
        return None
    exponent = amount.as_tuple().exponent
    assert isinstance(exponent, int)
    if amount and (amount.adjusted() >= LARGEST_EXPONENT or exponent < SMALLEST_EXPONENT):
        return None
    return amount if amount else Decimal(0)


def country_code(text: str | None) -> str:
    """ISO 3166-1 alpha-2 in capitals; `UK`, which is none but is sent, becomes GB; all else is `unknown`."""
    code = (text or "").strip().upper()
    if len(code) != 2 or not code.isascii() or not code.isalpha():
        return UNKNOWN
    return "GB" if code == "UK" else code


def currency_code(value: object) -> str | None:
    """ISO 4217 in capitals, or None."""
    if not isinstance(value, str):
        return None
    code = value.strip().upper()
    return code if len(code) == 3 and code.isascii() and code.isalpha() else None


def _order_key(order_id: object, cart_id: str | None, event_id: str) -> str:
    if isinstance(order_id, str) and order_id:
        return storable(f"order:{order_id}")
    if cart_id:
        return storable(f"cart:{cart_id}")
    return storable(f"event:{event_id}")


def _currency(cart_currency: object, products: list[Product]) -> str | None:
    if cart_currency is not None:
        return currency_code(cart_currency)
    codes = {currency_code(product.pricing.currency) for product in products if product.pricing} - {None}
    return codes.pop() if len(codes) == 1 else None


def _goods(value: CartValue, products: list[Product]) -> Decimal | None:
    subtotal = plausible(value.subtotal)
    if subtotal is None:
        amounts = [_line_amount(product) for product in products]
        if not amounts or None in amounts:
            return None
        subtotal = sum((amount for amount in amounts if amount is not None), Decimal(0))
    discounts = [plausible(discount.discount_amount) for discount in value.discounts_applied or []]
    return subtotal - sum((amount for amount in discounts if amount is not None), Decimal(0))


def _lines(products: list[Product], subtotal: Decimal | None) -> Iterator[OrderLine]:
    for product in products:
        amount = _line_amount(product)
        if amount is None and len(products) == 1:
            amount = subtotal  # the one line is the whole order, however many pieces it is
        hierarchy = product.product_hierarchy
        category = hierarchy.category_l1 if hierarchy else None
        yield OrderLine(storable(category) if category else UNKNOWN, amount)


def _line_amount(product: Product) -> Decimal | None:
    price = plausible(product.pricing.sale_price) if product.pricing else None
    quantity = product.quantity
    if price is None or isinstance(quantity, bool) or not isinstance(quantity, int) or quantity < 1:
        return None
    return plausible(price * quantity)


def _country(cart: CartContext) -> str:
    payment = cart.payment_context
    shipping = payment.shipping_context if payment else None
    address = shipping.shipping_address if shipping else None
    return country_code(address.country if address else None)


def _largest_contentful_paint(event: CommerceEvent) -> float | None:
    business = event.event_data.business_context
    interaction = business.interaction_context if business else None
    page = interaction.page_context if interaction else None
    metrics = page.page_load_metrics if page else None
    paint = metrics.largest_contentful_paint if metrics else None
    return paint if paint is not None and math.isfinite(paint) and paint >= 0 else None
