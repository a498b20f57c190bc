"""The few fields of a schema 2.1 event that fraud reads; everything else is skipped unread."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from weir_common.ids import EventId, SubjectId, TenantId

from weir_fraud.domain.payment import MAX_AMOUNT, Context, Payment, PaymentKind

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
    ip_derived: bool | None = None


class _SessionAttributes(_Part):
    device_fingerprint: str | None = None
    geolocation: _Geolocation | None = None


class _SessionData(_Part):
    session_start: _Instant | None = None
    session_sequence: int | None = None
    session_attributes: _SessionAttributes | None = None


class _UserProfile(_Part):
    account_type: str | None = None
    registration_date: _Instant | None = None
    verification_status: str | None = None


class _UserContext(_Part):
    user_id: str | None = None
    anonymous_id: str | None = None
    session_data: _SessionData | None = None
    user_profile: _UserProfile | None = None


class _Pricing(_Part):
    currency: str | None = None


class _Product(_Part):
    product_id: str | None = None
    pricing: _Pricing | None = None
    quantity: Any = None


class _Discount(_Part):
    discount_amount: Decimal | None = None


class _Loyalty(_Part):
    points_redeemed: float | None = None


class _CartValue(_Part):
    subtotal: Decimal | None = None
    discounts_applied: list[_Discount] | None = None
    loyalty_benefits: _Loyalty | None = None
    final_total: Decimal | None = None
    currency: Any = None


class _Address(_Part):
    address_hash: str | None = None
    same_as_billing: bool | None = None
    country: str | None = None
    address_type: str | None = None


class _RiskSignals(_Part):
    fraud_score: float | None = None


class _PaymentMethod(_Part):
    method_type: str | None = None
    tokenized_identifier: str | None = None
    billing_address: _Address | None = None
    risk_signals: _RiskSignals | None = None
    outcome: Any = None


class _ShippingMethod(_Part):
    service_level: str | None = None


class _ShippingContext(_Part):
    shipping_address: _Address | None = None
    shipping_method: _ShippingMethod | None = None


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


class _TenantMetadata(_Part):
    merchant_id: str | None = None


class _PageContext(_Part):
    user_interactions: list[msgspec.Raw] | None = None


class _InteractionContext(_Part):
    touchpoint_journey: list[msgspec.Raw] | None = None
    page_context: _PageContext | None = None


class _BusinessContext(_Part):
    tenant_metadata: _TenantMetadata | None = None
    transaction_context: _TransactionContext | None = None
    interaction_context: _InteractionContext | None = None


class _SecurityFlags(_Part):
    suspicious_user_agent: bool | None = None
    tor_exit_node: bool | None = None
    known_bot: bool | None = None


class _ClientNetwork(_Part):
    address_hash: Any = None
    kind: Any = None


class _SecurityContext(_Part):
    security_flags: _SecurityFlags | None = None
    client_network: _ClientNetwork | None = None


class _TechnicalContext(_Part):
    security_context: _SecurityContext | None = None


class _EventData(_Part):
    event_type: str
    event_subtype: str
    user_context: _UserContext | None = None
    business_context: _BusinessContext | None = None
    technical_context: _TechnicalContext | None = None


class _EventMetadata(_Part):
    event_id: str
    timestamp: _Instant
    source_system: str | None = None


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
        business = self.event_data.business_context or _NO_BUSINESS
        cart = (business.transaction_context or _NO_TRANSACTION).cart_context or _NO_CART
        return cart.cart_value.final_total if cart.cart_value is not None else None


def is_plausible(amount: Decimal) -> bool:
    """A finite amount from 0 up to a bound that no purchase reaches."""
    return amount.is_finite() and 0 <= amount < MAX_AMOUNT


# What stands for a part that an event lacks: never changed, and not made anew for each event.
_NO_USER: Final = _UserContext()
_NO_SESSION: Final = _SessionData()
_NO_ATTRIBUTES: Final = _SessionAttributes()
_NO_PLACE: Final = _Geolocation()
_NO_PROFILE: Final = _UserProfile()
_NO_BUSINESS: Final = _BusinessContext()
_NO_TRANSACTION: Final = _TransactionContext()
_NO_CART: Final = _CartContext()
_NO_PAYMENT: Final = _PaymentContext()
_NO_METHOD: Final = _PaymentMethod()
_NO_SHIPPING: Final = _ShippingContext()
_NO_ADDRESS: Final = _Address()
_NO_INTERACTION: Final = _InteractionContext()
_NO_TECHNICAL: Final = _TechnicalContext()
_NO_SECURITY: Final = _SecurityContext()
_NO_FLAGS: Final = _SecurityFlags()
_NO_NETWORK: Final = _ClientNetwork()
_NO_CONTEXT: Final = Context()
_KINDS: Final = {kind.value: kind for kind in PaymentKind}


def payment_of(
    event: PaymentEvent, tenant_id: TenantId, received_at: datetime, *, with_context: bool = True
) -> Payment:
    """The payment of an event that `is_payment`. An implausible amount is an unknown one; the first method pays.

    Without its context it is enough for the histories, which keep nothing of that, and a third less work.
    """
    metadata, data = event.event_metadata, event.event_data
    user = data.user_context or _NO_USER
    attributes = (user.session_data or _NO_SESSION).session_attributes or _NO_ATTRIBUTES
    place = attributes.geolocation or _NO_PLACE
    business = data.business_context or _NO_BUSINESS
    transaction = business.transaction_context or _NO_TRANSACTION
    cart = transaction.cart_context or _NO_CART
    context = cart.payment_context or _NO_PAYMENT
    method = context.payment_methods[0] if context.payment_methods else _NO_METHOD
    shipping = context.shipping_context or _NO_SHIPPING
    network = _security(data).client_network or _NO_NETWORK
    event_id = EventId(metadata.event_id.lower())
    amount = cart.cart_value.final_total if cart.cart_value is not None else None
    kind = _KINDS.get(data.event_subtype) or PaymentKind(data.event_subtype)
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
        address=_address(method, shipping),
        network=_text(network.address_hash),
        merchant=business.tenant_metadata.merchant_id if business.tenant_metadata is not None else None,
        product=transaction.products[0].product_id if transaction.products else None,
        context=_context(event, method, shipping) if with_context else _NO_CONTEXT,
        imported=metadata.source_system == "batch_import",
    )


def _address(method: _PaymentMethod, shipping: _ShippingContext) -> str | None:
    for place in (shipping.shipping_address, method.billing_address):
        if place is not None and place.address_hash:
            return place.address_hash
    return None


def _context(event: PaymentEvent, method: _PaymentMethod, shipping: _ShippingContext) -> Context:
    data = event.event_data
    business = data.business_context or _NO_BUSINESS
    user = data.user_context or _NO_USER
    session = user.session_data or _NO_SESSION
    profile = user.user_profile or _NO_PROFILE
    security = _security(data)
    flags = security.security_flags or _NO_FLAGS
    interaction = business.interaction_context or _NO_INTERACTION
    page = interaction.page_context
    transaction = business.transaction_context or _NO_TRANSACTION
    cart = (transaction.cart_context or _NO_CART).cart_value
    attributes = session.session_attributes
    kind = security.client_network.kind if security.client_network is not None else None
    started = session.session_start
    level = shipping.shipping_method.service_level if shipping.shipping_method is not None else None
    destination = shipping.shipping_address or _NO_ADDRESS
    return Context(
        session_seconds=None if started is None else (event.event_metadata.timestamp - started).total_seconds(),
        session_sequence=session.session_sequence,
        touchpoints=_length(interaction.touchpoint_journey),
        interactions=_length(page.user_interactions) if page is not None else None,
        lines=_length(transaction.products),
        units=_units(transaction.products),
        subtotal=_plausible(cart.subtotal) if cart is not None else None,
        discounts=_discounts(cart),
        points_redeemed=cart.loyalty_benefits.points_redeemed
        if cart is not None and cart.loyalty_benefits is not None
        else None,
        express=None if level is None else level != "ground",
        po_box=None if destination.address_type is None else destination.address_type == "po_box",
        shipped_to_billing=destination.same_as_billing,
        wallet=None if method.method_type is None else method.method_type == "digital_wallet",
        pay_later=None if method.method_type is None else method.method_type == "bnpl",
        verified=None if profile.verification_status is None else profile.verification_status == "verified",
        trial=None if profile.account_type is None else profile.account_type == "trial",
        network_kind=kind if isinstance(kind, str) else None,
        tor=flags.tor_exit_node,
        bot=flags.known_bot,
        suspicious_agent=flags.suspicious_user_agent,
        place_by_network=attributes.geolocation.ip_derived
        if attributes is not None and attributes.geolocation is not None
        else None,
        sender_score=method.risk_signals.fraud_score if method.risk_signals is not None else None,
    )


def _security(data: _EventData) -> _SecurityContext:
    technical = data.technical_context or _NO_TECHNICAL
    return technical.security_context or _NO_SECURITY


def _length(entries: Sequence[object] | None) -> int | None:
    return None if entries is None else len(entries)


def _units(products: list[_Product] | None) -> int | None:
    """None unless every line says how many."""
    quantities = [product.quantity for product in products or ()]
    known = [quantity for quantity in quantities if isinstance(quantity, int) and not isinstance(quantity, bool)]
    return sum(known) if quantities and len(known) == len(quantities) else None


def _plausible(amount: Decimal | None) -> Decimal | None:
    return amount if amount is not None and is_plausible(amount) else None


def _discounts(cart: _CartValue | None) -> Decimal | None:
    if cart is None or cart.discounts_applied is None:
        return None
    amounts = [_plausible(discount.discount_amount) for discount in cart.discounts_applied]
    return sum((amount for amount in amounts if amount is not None), Decimal(0))


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
