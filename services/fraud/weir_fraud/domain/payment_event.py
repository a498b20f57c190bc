"""The few fields of a schema 2.1 event that fraud reads; everything else is skipped unread."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from weir_common.ids import EventId, SubjectId, TenantId

from weir_fraud.domain.payment import MAX_AMOUNT, Payment, PaymentKind

EVENT_TYPE = "transaction"
PAYMENT_SUBTYPES = frozenset(kind.value for kind in PaymentKind)

_Instant = Annotated[datetime, Meta(tz=True)]


class _Part(msgspec.Struct, gc=False):
    """A part of the event. Members that schema 2.1 does not have yet may be anything: `Any`, and looked at before use."""


class _Coordinates(_Part):
    lat: float
    lon: float


class _Geolocation(_Part):
    country: str | None = None
    coordinates: _Coordinates | None = None


class _SessionAttributes(_Part):
    device_fingerprint: str | None = None
    geolocation: _Geolocation | None = None


class _SessionData(_Part):
    session_attributes: _SessionAttributes | None = None


class _UserProfile(_Part):
    registration_date: _Instant | None = None


class _UserContext(_Part):
    user_id: str | None = None
    anonymous_id: str | None = None
    session_data: _SessionData | None = None
    user_profile: _UserProfile | None = None


class _Pricing(_Part):
    currency: str | None = None


class _Product(_Part):
    pricing: _Pricing | None = None


class _CartValue(_Part):
    final_total: Decimal | None = None
    currency: Any = None


class _Address(_Part):
    country: str | None = None


class _PaymentMethod(_Part):
    tokenized_identifier: str | None = None
    billing_address: _Address | None = None
    outcome: Any = None


class _ShippingContext(_Part):
    shipping_address: _Address | None = None


class _PaymentContext(_Part):
    payment_methods: list[_PaymentMethod] | None = None
    shipping_context: _ShippingContext | None = None


class _CartContext(_Part):
    cart_id: str | None = None
    cart_value: _CartValue | None = None
    payment_context: _PaymentContext | None = None


class _TransactionContext(_Part):
    products: list[_Product] | None = None
    cart_context: _CartContext | None = None
    order_id: Any = None


class _BusinessContext(_Part):
    transaction_context: _TransactionContext | None = None


class _EventData(_Part):
    event_type: str
    event_subtype: str
    user_context: _UserContext | None = None
    business_context: _BusinessContext | None = None


class _EventMetadata(_Part):
    event_id: str
    timestamp: _Instant


class PaymentEvent(_Part):
    """An event, as far as fraud reads it. The edges validate the whole event before; the log holds valid ones only."""

    tenant_id: str
    event_metadata: _EventMetadata
    event_data: _EventData

    @property
    def is_payment(self) -> bool:
        return self.event_data.event_type == EVENT_TYPE and self.event_data.event_subtype in PAYMENT_SUBTYPES

    @property
    def amount(self) -> Decimal | None:
        """What the cart says is to be paid, as sent."""
        cart = self._cart
        return cart.cart_value.final_total if cart is not None and cart.cart_value is not None else None

    @property
    def _transaction(self) -> _TransactionContext | None:
        business = self.event_data.business_context
        return business.transaction_context if business is not None else None

    @property
    def _cart(self) -> _CartContext | None:
        transaction = self._transaction
        return transaction.cart_context if transaction is not None else None


def is_plausible(amount: Decimal) -> bool:
    """A finite amount from 0 up to a bound that no purchase reaches."""
    return amount.is_finite() and 0 <= amount < MAX_AMOUNT


def payment_of(event: PaymentEvent, tenant_id: TenantId, received_at: datetime) -> Payment:
    """The payment of an event that `is_payment`. An implausible amount is an unknown one; the first method pays."""
    metadata, data = event.event_metadata, event.event_data
    user = data.user_context or _UserContext()
    session = user.session_data or _SessionData()
    attributes = session.session_attributes or _SessionAttributes()
    place = attributes.geolocation or _Geolocation()
    transaction = event._transaction or _TransactionContext()
    cart = event._cart or _CartContext()
    context = cart.payment_context or _PaymentContext()
    method = context.payment_methods[0] if context.payment_methods else _PaymentMethod()
    shipping = context.shipping_context or _ShippingContext()
    event_id = EventId(metadata.event_id.lower())
    amount = event.amount
    kind = PaymentKind(data.event_subtype)
    return Payment(
        tenant_id=tenant_id,
        event_id=event_id,
        transaction_id=_text(transaction.order_id) or cart.cart_id or event_id,
        kind=kind,
        at=metadata.timestamp.astimezone(UTC),
        received_at=received_at,
        # As `weir_common.events.subject_of`, which orders the events on the log.
        subject=SubjectId(user.user_id or user.anonymous_id or attributes.device_fingerprint or metadata.event_id),
        amount=amount if amount is not None and is_plausible(amount) else None,
        currency=_currency(cart.cart_value, transaction.products),
        user_id=user.user_id or None,
        anonymous_id=user.anonymous_id or None,
        device=attributes.device_fingerprint or None,
        payment_token=method.tokenized_identifier or None,
        declined=kind is PaymentKind.PAYMENT_DECLINED or method.outcome == "declined",
        country=place.country,
        latitude=place.coordinates.lat if place.coordinates is not None else None,
        longitude=place.coordinates.lon if place.coordinates is not None else None,
        billing_country=method.billing_address.country if method.billing_address is not None else None,
        shipping_country=shipping.shipping_address.country if shipping.shipping_address is not None else None,
        registered_at=user.user_profile.registration_date if user.user_profile is not None else None,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= 1_024 else None


def _currency(cart: _CartValue | None, products: list[_Product] | None) -> str | None:
    """That of the cart, else that of its lines if they agree."""
    code = cart.currency if cart is not None else None
    if isinstance(code, str) and _is_code(code):
        return code
    codes = {product.pricing.currency for product in products or () if product.pricing is not None}
    codes.discard(None)
    (only,) = codes if len(codes) == 1 else (None,)
    return only if only is not None and _is_code(only) else None


def _is_code(code: str) -> bool:
    return len(code) == 3 and code.isascii() and code.isalpha() and code.isupper()
