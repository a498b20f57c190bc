"""The fields of event 2.1 that rules read. Everything else is skipped while decoding, unknown fields too.

Optional fields that the schema does not know yet (quantity, outcome, client_network, …) may hold anything: they are decoded
as they came and read through functions that give None for what makes no sense.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec
from weir_common.ids import EventId, TenantId

from weir_anomaly.domain.entity import Entity, entity
from weir_anomaly.errors import UndecodableEvent

MAX_LINES: Final = 40
"""Lines of one cart that rules look at: a bound on what one event can cost."""
_AMOUNT_BOUND: Final = 1e15
LATEST: Final = 7_258_118_400.0
"""2200-01-01. Event times are held between 1970 and then, so that adding a period to one stays a date."""


class _Node(msgspec.Struct, gc=False):
    """A part of the event; not tracked by the garbage collector, since a decoded tree has no cycles."""


class Metadata(_Node):
    event_id: str
    timestamp: Annotated[datetime, msgspec.Meta(tz=True)]
    source_system: str = ""
    event_version: str | None = None
    ingestion_timestamp: datetime | None = None


class Coordinates(_Node):
    lat: float
    lon: float


class Geolocation(_Node):
    country: str | None = None
    region: str | None = None
    city: str | None = None
    coordinates: Coordinates | None = None
    accuracy_meters: float | None = None
    ip_derived: bool | None = None


class Named(_Node):
    name: str | None = None
    version: str | None = None


class DeviceType(_Node):
    type: str | None = None


class UserAgent(_Node):
    browser: Named | None = None
    os: Named | None = None
    device: DeviceType | None = None


class SessionAttributes(_Node):
    device_fingerprint: str | None = None
    geolocation: Geolocation | None = None
    user_agent_parsed: UserAgent | None = None


class SessionData(_Node):
    session_id: str | None = None
    session_attributes: SessionAttributes | None = None


class UserProfile(_Node):
    account_type: str | None = None


class UserContext(_Node):
    user_id: str | None = None
    anonymous_id: str | None = None
    session_data: SessionData | None = None
    user_profile: UserProfile | None = None


class TenantMetadata(_Node):
    industry_vertical: str | None = None


class Pricing(_Node):
    list_price: Decimal | None = None
    sale_price: Decimal | None = None
    cost_basis: Decimal | None = None
    margin_percentage: float | None = None
    currency: str | None = None


class Inventory(_Node):
    sku_availability: str | None = None


class Attributes(_Node):
    condition: str | None = None


class Line(_Node):
    product_id: str | None = None
    pricing: Pricing | None = None
    inventory: Inventory | None = None
    attributes: Attributes | None = None
    quantity: Any = None


class Tax(_Node):
    amount: Decimal | None = None


class ShippingCosts(_Node):
    base_shipping: Decimal | None = None
    expedited_fee: Decimal | None = None
    insurance: Decimal | None = None


class Discount(_Node):
    discount_id: str | None = None
    discount_amount: Decimal | None = None


class CartValue(_Node):
    subtotal: Decimal | None = None
    tax_breakdown: list[Tax] | None = None
    shipping_costs: ShippingCosts | None = None
    discounts_applied: list[Discount] | None = None
    final_total: Decimal | None = None
    currency: Any = None


class Address(_Node):
    address_hash: str | None = None
    country: str | None = None
    postal_code: str | None = None


class PaymentMethod(_Node):
    method_type: str | None = None
    provider: str | None = None
    tokenized_identifier: str | None = None
    billing_address: Address | None = None
    outcome: Any = None
    decline_reason: Any = None


class ShippingMethod(_Node):
    carrier: str | None = None


class ShippingContext(_Node):
    shipping_address: Address | None = None
    shipping_method: ShippingMethod | None = None


class PaymentContext(_Node):
    payment_methods: list[PaymentMethod] | None = None
    shipping_context: ShippingContext | None = None


class CartContext(_Node):
    cart_id: str | None = None
    cart_value: CartValue | None = None
    payment_context: PaymentContext | None = None


class TransactionContext(_Node):
    products: list[Line] | None = None
    cart_context: CartContext | None = None
    order_id: Any = None


class PageLoadMetrics(_Node):
    largest_contentful_paint: float | None = None


class Point(_Node):
    x: float | None = None
    y: float | None = None


class Interaction(_Node):
    interaction_type: str | None = None
    coordinates: Point | None = None


class PageContext(_Node):
    page_type: str | None = None
    page_url: str | None = None
    referrer_url: str | None = None
    page_load_metrics: PageLoadMetrics | None = None
    user_interactions: list[Interaction] | None = None


class Experiment(_Node):
    experiment_id: str | None = None
    variant: str | None = None


class FeatureFlag(_Node):
    flag_name: str | None = None
    enabled: bool | None = None
    variant: str | None = None


class ExperimentContext(_Node):
    active_experiments: list[Experiment] | None = None
    feature_flags: list[FeatureFlag] | None = None


class InteractionContext(_Node):
    page_context: PageContext | None = None
    experiment_context: ExperimentContext | None = None


class BusinessContext(_Node):
    tenant_metadata: TenantMetadata | None = None
    transaction_context: TransactionContext | None = None
    interaction_context: InteractionContext | None = None


class SecurityFlags(_Node):
    suspicious_user_agent: bool | None = None
    tor_exit_node: bool | None = None
    known_bot: bool | None = None


class SecurityContext(_Node):
    security_flags: SecurityFlags | None = None
    client_network: Any = None


class TechnicalContext(_Node):
    security_context: SecurityContext | None = None


class EventData(_Node):
    event_type: str
    event_subtype: str
    user_context: UserContext | None = None
    business_context: BusinessContext | None = None
    technical_context: TechnicalContext | None = None


class Document(_Node):
    """The event as it stands on the log."""

    tenant_id: str
    event_metadata: Metadata
    event_data: EventData


class Event(msgspec.Struct, gc=False):
    """One event as rules see it: what every rule asks for is flat, the rest hangs on ``data``.

    ``at`` is event time, ``accepted_at`` acceptance at the edge, both in seconds since 1970. ``partition`` is where on the log it lies.
    """

    tenant_id: TenantId
    event_id: EventId
    type: str
    subtype: str
    at: float
    accepted_at: float
    sent_at: float | None
    source: str
    version: str
    partition: int
    user: str | None
    anonymous: str | None
    session: str | None
    device: str | None
    data: EventData

    # Sub-documents are asked for by several rules; each is found in one place only.

    @property
    def geolocation(self) -> Geolocation | None:
        """Where the client seems to be."""
        attributes = self._attributes
        return attributes.geolocation if attributes is not None else None

    @property
    def user_agent(self) -> UserAgent | None:
        """The client's software as the sender parsed it."""
        attributes = self._attributes
        return attributes.user_agent_parsed if attributes is not None else None

    @property
    def _attributes(self) -> SessionAttributes | None:
        user = self.data.user_context
        if user is None or user.session_data is None:
            return None
        return user.session_data.session_attributes

    @property
    def account_type(self) -> str:
        """Empty when unknown."""
        user = self.data.user_context
        if user is None or user.user_profile is None:
            return ""
        return user.user_profile.account_type or ""

    @property
    def transaction(self) -> TransactionContext | None:
        """Products and cart."""
        business = self.data.business_context
        return business.transaction_context if business is not None else None

    @property
    def lines(self) -> Sequence[Line]:
        """At most ``MAX_LINES``."""
        transaction = self.transaction
        if transaction is None or not transaction.products:
            return ()
        return transaction.products[:MAX_LINES]

    @property
    def cart(self) -> CartContext | None:
        """Cart with its value and payment."""
        transaction = self.transaction
        return transaction.cart_context if transaction is not None else None

    @property
    def payments(self) -> Sequence[PaymentMethod]:
        """Payment methods of the cart."""
        cart = self.cart
        if cart is None or cart.payment_context is None:
            return ()
        return cart.payment_context.payment_methods or ()

    @property
    def page(self) -> PageContext | None:
        """The page that was shown."""
        business = self.data.business_context
        if business is None or business.interaction_context is None:
            return None
        return business.interaction_context.page_context

    @property
    def experiments(self) -> ExperimentContext | None:
        """Active tests and flags."""
        business = self.data.business_context
        if business is None or business.interaction_context is None:
            return None
        return business.interaction_context.experiment_context

    @property
    def flags(self) -> SecurityFlags | None:
        """What the sender's own edge thinks of the client."""
        technical = self.data.technical_context
        if technical is None or technical.security_context is None:
            return None
        return technical.security_context.security_flags

    @property
    def network_kind(self) -> str | None:
        """residential, mobile, hosting, vpn, relay, tor, satellite; None when not told."""
        kind = self._network("kind")
        if kind is not None:
            return kind
        flags = self.flags
        return "tor" if flags is not None and flags.tor_exit_node else None

    @property
    def network_prefix(self) -> str | None:
        """Hash of the address prefix; None when not told."""
        return self._network("prefix_hash")

    def _network(self, member: str) -> str | None:
        technical = self.data.technical_context
        if technical is None or technical.security_context is None:
            return None
        network = technical.security_context.client_network
        if type(network) is not dict:
            return None
        value = network.get(member)
        return value if type(value) is str and value else None

    @property
    def customer(self) -> str:
        """Whom the event concerns, as one name: user, else visitor, device, session, else the event itself."""
        return self.user or self.anonymous or self.device or self.session or self.event_id

    @property
    def customer_entity(self) -> Entity:
        """The same as an entity whose kind says which of them it is."""
        if self.user:
            return entity("user", self.user)
        if self.anonymous:
            return entity("visitor", self.anonymous)
        if self.device:
            return entity("device", self.device)
        return entity("session", self.session or self.event_id)

    @property
    def order(self) -> str:
        """Which order or cart it belongs to; the event itself when neither is told."""
        transaction = self.transaction
        if transaction is not None:
            if type(transaction.order_id) is str and transaction.order_id:
                return transaction.order_id
            if transaction.cart_context is not None and transaction.cart_context.cart_id:
                return transaction.cart_context.cart_id
        return self.event_id


def amount(money: Decimal | None) -> float | None:
    """A finite amount below 10¹⁵, else None: whatever a sender writes, a rule calculates."""
    if money is None:
        return None
    try:
        value = float(money)
    except ValueError:  # a signalling NaN
        return None
    return value if -_AMOUNT_BOUND < value < _AMOUNT_BOUND else None


def quantity(line: Line) -> int | None:
    """Units of a line; None when not told (then it is unknown, not one)."""
    value = line.quantity
    return value if type(value) is int and 0 < value < 1_000_000 else None


class EventDecoder:
    """Decodes records; one per process, since a decoder costs more to make than to use."""

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(Document)

    def decode(self, value: bytes, *, accepted_at: float, partition: int) -> Event:
        """``UndecodableEvent`` when the bytes are not an event that the edge could have accepted."""
        try:
            document = self._decoder.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UndecodableEvent(str(error)) from error
        metadata = document.event_metadata
        data = document.event_data
        context = data.user_context
        session = context.session_data if context is not None else None
        attributes = session.session_attributes if session is not None else None
        sent = metadata.ingestion_timestamp
        return Event(
            tenant_id=TenantId(document.tenant_id),
            event_id=EventId(metadata.event_id),
            type=data.event_type,
            subtype=data.event_subtype,
            at=min(max(metadata.timestamp.timestamp(), 0.0), LATEST),
            accepted_at=accepted_at,
            sent_at=(sent if sent.tzinfo is not None else sent.replace(tzinfo=UTC)).timestamp() if sent else None,
            source=metadata.source_system,
            version=metadata.event_version or "",
            partition=partition,
            user=(context.user_id or None) if context is not None else None,
            anonymous=(context.anonymous_id or None) if context is not None else None,
            session=(session.session_id or None) if session is not None else None,
            device=(attributes.device_fingerprint or None) if attributes is not None else None,
            data=data,
        )


def instant(at: float) -> datetime:
    """Seconds since 1970 as UTC."""
    return datetime.fromtimestamp(at, UTC)
