"""A payment as fraud sees it, and the observation that is kept of it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b
from operator import attrgetter
from typing import Final, NamedTuple

from weir_common.ids import EventId, SubjectId, TenantId

from weir_fraud.domain.aggregate import DAY_SECONDS, Entity

MICROSECONDS: Final = 1_000_000
AMOUNT_UNITS: Final = 10_000
"""Amounts are counted in ten-thousandths, as integers: sums are then exact, in any order and in any language."""
MAX_AMOUNT: Final = Decimal(10) ** 11
DEGREE_UNITS: Final = 100_000
"""Places are kept to 1e-5 degrees, about a metre."""
MISSING_AMOUNT: Final = -1
MISSING_PLACE: Final = 2**31 - 1

_REMEMBERED: Final = 32_768
"""Hashes of values that come again and again: customers, merchants and products of a replay. The same for every tenant: pure."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ENTITIES: Final = tuple(Entity)
_identities: Final = attrgetter(*(entity.value for entity in Entity))
"""Of a payment, one an entity, in their order: `Payment.identity` of all, in one step."""

HISTORY_AGE: Final = timedelta(days=7)
"""What is imported later than this after it happened is history."""


class PaymentKind(StrEnum):
    """The subtypes of `transaction` events that are payments."""

    PURCHASE = "purchase"
    PAYMENT_ATTEMPTED = "payment_attempted"
    PAYMENT_DECLINED = "payment_declined"


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the payment's own event says beside who, what and where; features of the request alone. None where it is silent."""

    session_seconds: float | None = None
    """From the start of the session to the payment."""
    session_sequence: int | None = None
    """Of the event in its session."""
    touchpoints: int | None = None
    interactions: int | None = None
    """Clicks, scrolls and the like on the page of the payment."""
    lines: int | None = None
    units: int | None = None
    subtotal: Decimal | None = None
    discounts: Decimal | None = None
    """Their amounts together."""
    points_redeemed: float | None = None
    express: bool | None = None
    """Whether the goods go faster than by ground."""
    po_box: bool | None = None
    """Whether the goods go to a post office box."""
    shipped_to_billing: bool | None = None
    wallet: bool | None = None
    """Whether a digital wallet pays."""
    pay_later: bool | None = None
    verified: bool | None = None
    """Whether the account is verified."""
    trial: bool | None = None
    network_kind: str | None = None
    tor: bool | None = None
    bot: bool | None = None
    suspicious_agent: bool | None = None
    place_by_network: bool | None = None
    """Whether the place was derived from the network address."""
    sender_score: float | None = None
    """The sender's own fraud score of the payment, 0 to 1: a hint like others, never a ground alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """One payment event. Times are UTC; `received_at` is when the mesh accepted it, which bounds a sender's wrong clock."""

    tenant_id: TenantId
    event_id: EventId
    transaction_id: str
    kind: PaymentKind
    at: datetime
    received_at: datetime
    subject: SubjectId
    amount: Decimal | None = None
    currency: str | None = None
    user_id: str | None = None
    anonymous_id: str | None = None
    device: str | None = None
    payment_token: str | None = None
    declined: bool = False
    country: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    billing_country: str | None = None
    shipping_country: str | None = None
    registered_at: datetime | None = None
    address: str | None = None
    network: str | None = None
    merchant: str | None = None
    product: str | None = None
    context: Context = Context()
    imported: bool = False
    """Whether the event was brought in from another system afterwards."""

    @property
    def is_history(self) -> bool:
        """Whether it is of a past that nobody decides about any more: it tells of its people, and that is all."""
        return self.imported and self.received_at - self.at > HISTORY_AGE

    @property
    def user(self) -> str | None:
        """Whose behaviour this is: the known user, else the visitor. The two name spaces do not meet."""
        if self.user_id:
            return known_user(self.user_id)
        return visitor(self.anonymous_id) if self.anonymous_id else None

    def identity(self, entity: Entity) -> str | None:
        """Who of this kind takes part, if any."""
        value: str | None = getattr(self, entity)
        return value or None


def known_user(user_id: str) -> str:
    """The identity of a user who is logged in."""
    return f"u\x00{user_id}"


def visitor(anonymous_id: str) -> str:
    """The identity of a visitor."""
    return f"a\x00{anonymous_id}"


class Observation(NamedTuple):
    """What an entity's history keeps of a payment: integers only, 0 for an identity that is missing.

    `at`, `received_at` and `label_at` in µs since 1970; `amount` in ten-thousandths of the currency, -1 if missing; `latitude`
    and `longitude` in 1e-5 degrees, 2³¹ - 1 if missing. Identities are 48-bit hashes, which a Lua number holds exactly: two of
    the at most 256 values of one history collide once in 10¹⁰ histories. `label` is what became known at `label_at`.
    """

    at: int
    id: int
    amount: int
    currency: int
    user: int
    device: int
    payment_token: int
    country: int
    latitude: int
    longitude: int
    declined: int
    received_at: int
    address: int = 0
    network: int = 0
    merchant: int = 0
    product: int = 0
    label: int = 0
    label_at: int = 0


def observation_of(payment: Payment) -> Observation:
    """The observation of a payment; the same payment gives the same one for ever."""
    latitude, longitude = payment.latitude, payment.longitude
    located = latitude is not None and longitude is not None
    # By place, in the order of the fields: by name it takes a microsecond more.
    return Observation(
        microseconds(payment.at),
        _event48(payment.event_id),
        MISSING_AMOUNT if payment.amount is None else amount_units(payment.amount),
        _letters(payment.currency),
        hash48("user", payment.user),
        hash48("device", payment.device),
        hash48("payment_token", payment.payment_token),
        _letters(payment.country),
        round(latitude * DEGREE_UNITS) if located and latitude is not None else MISSING_PLACE,
        round(longitude * DEGREE_UNITS) if located and longitude is not None else MISSING_PLACE,
        int(payment.declined),
        microseconds(payment.received_at),
        hash48("address", payment.address),
        hash48("network", payment.network),
        hash48("merchant", payment.merchant),
        hash48("product", payment.product),
    )


def microseconds(moment: datetime) -> int:
    """Whole microseconds since 1970, exactly."""
    since = moment - _EPOCH
    return (since.days * DAY_SECONDS + since.seconds) * MICROSECONDS + since.microseconds


def moment_of(at: int) -> datetime:
    """The inverse of `microseconds`."""
    return _EPOCH + timedelta(microseconds=at)


def amount_units(amount: Decimal) -> int:
    """Ten-thousandths, half to even. `amount` is at least 0 and below `MAX_AMOUNT`."""
    return int((amount * AMOUNT_UNITS).to_integral_value(ROUND_HALF_EVEN))


@lru_cache(maxsize=_REMEMBERED)
def hash48(kind: str, value: str | None) -> int:
    """A 48-bit hash that is never 0; 0 when there is no value. Kinds do not mix."""
    return _hash48(kind, value) if value else 0


def _hash48(kind: str, value: str) -> int:
    digest = blake2b(value.encode("utf-8", "surrogatepass"), digest_size=6, person=kind.encode()).digest()
    return int.from_bytes(digest, "little") or 1


def _event48(event_id: EventId) -> int:
    # Each comes once: nothing to remember.
    return _hash48("event", event_id)


@lru_cache(maxsize=1_024)
def _letters(code: str | None) -> int:
    """Up to three capital letters in 15 bits; 0 when missing."""
    number = 0
    for letter in code or "":
        number = number * 32 + (ord(letter) - 64)
    return number


LABEL_HONEST: Final = 1
LABEL_FRAUD: Final = 2
"""0: nothing is known."""


class Known(NamedTuple):
    """What became known about a payment: `LABEL_HONEST` or `LABEL_FRAUD`, and when, in µs since 1970."""

    label: int
    at: int


class Observed(NamedTuple):
    """Where the observation of a payment is found again: its time, its id, and whose histories it is in."""

    at: int
    id: int
    digests: tuple[bytes, ...]
    """One a kind of entity, in the order of `Entity`: `entity_digest`, or nothing for one that the payment lacks."""


def observed_of(payment: Payment) -> Observed:
    """Of a payment that was observed."""
    return Observed(
        microseconds(payment.at),
        _event48(payment.event_id),
        digests_of(payment),
    )


def digests_of(payment: Payment) -> tuple[bytes, ...]:
    """Whose histories the observation of a payment is in: see `Observed.digests`."""
    return tuple([entity_digest(entity, one) if one else b"" for entity, one in zip(_ENTITIES, _identities(payment), strict=True)])  # fmt: skip


@lru_cache(maxsize=_REMEMBERED)
def entity_digest(entity: Entity, identity: str | None) -> bytes:
    """128 bits that name an entity within a tenant: short whatever a sender sends, and they tell nobody who it is."""
    if identity is None:
        return b""
    return blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=16, person=entity.encode()).digest()


_PACKING: Final = struct.Struct("<q6sqH6s6s6s6s6s6s6sHiiBBq")
OBSERVATION_BYTES: Final = _PACKING.size


def pack(observation: Observation) -> bytes:
    """The 86 bytes under which an observation is stored (layout `v2`); `received_at` is not kept."""
    return _PACKING.pack(
        observation.at,
        observation.id.to_bytes(6, "little"),
        observation.amount,
        observation.currency,
        observation.user.to_bytes(6, "little"),
        observation.device.to_bytes(6, "little"),
        observation.payment_token.to_bytes(6, "little"),
        observation.address.to_bytes(6, "little"),
        observation.network.to_bytes(6, "little"),
        observation.merchant.to_bytes(6, "little"),
        observation.product.to_bytes(6, "little"),
        observation.country,
        observation.latitude,
        observation.longitude,
        observation.declined,
        observation.label,
        observation.label_at,
    )


def unpack(packed: bytes) -> Observation:
    """The inverse of `pack`, with `received_at` 0."""
    at, id_, amount, currency, *identities, country, latitude, longitude, declined, label, label_at = _PACKING.unpack(
        packed
    )
    user, device, token, address, network, merchant, product = (int.from_bytes(one, "little") for one in identities)
    return Observation(
        at=at,
        id=int.from_bytes(id_, "little"),
        amount=amount,
        currency=currency,
        user=user,
        device=device,
        payment_token=token,
        country=country,
        latitude=latitude,
        longitude=longitude,
        declined=declined,
        received_at=0,
        address=address,
        network=network,
        merchant=merchant,
        product=product,
        label=label,
        label_at=label_at,
    )
