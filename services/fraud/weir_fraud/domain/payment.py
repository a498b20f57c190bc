"""A payment as fraud sees it, and the observation that is kept of it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from hashlib import blake2b
from typing import Final, NamedTuple

from weir_common.ids import EventId, SubjectId, TenantId

MICROSECONDS: Final = 1_000_000
AMOUNT_UNITS: Final = 10_000
"""Amounts are counted in ten-thousandths, as integers: sums are then exact, in any order and in any language."""
MAX_AMOUNT: Final = Decimal(10) ** 11
DEGREE_UNITS: Final = 100_000
"""Places are kept to 1e-5 degrees, about a metre."""
MISSING_AMOUNT: Final = -1
MISSING_PLACE: Final = 2**31 - 1

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class PaymentKind(StrEnum):
    """The subtypes of `transaction` events that are payments."""

    PURCHASE = "purchase"
    PAYMENT_ATTEMPTED = "payment_attempted"
    PAYMENT_DECLINED = "payment_declined"


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

    @property
    def user(self) -> str | None:
        """Whose behaviour this is: the known user, else the visitor. The two name spaces do not meet."""
        if self.user_id:
            return known_user(self.user_id)
        return visitor(self.anonymous_id) if self.anonymous_id else None


def known_user(user_id: str) -> str:
    """The identity of a user who is logged in."""
    return f"u\x00{user_id}"


def visitor(anonymous_id: str) -> str:
    """The identity of a visitor."""
    return f"a\x00{anonymous_id}"


class Observation(NamedTuple):
    """What an entity's history keeps of a payment: integers only, 0 for an identity that is missing.

    `at` and `received_at` in µs since 1970; `amount` in ten-thousandths of the currency, -1 if missing; `latitude` and
    `longitude` in 1e-5 degrees, 2³¹ - 1 if missing. Identities are 48-bit hashes, which a Lua number holds exactly: two of
    the at most 256 values of one history collide once in 10¹⁰ histories.
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


def observation_of(payment: Payment) -> Observation:
    """The observation of a payment; the same payment gives the same one for ever."""
    latitude, longitude = payment.latitude, payment.longitude
    located = latitude is not None and longitude is not None
    return Observation(
        at=microseconds(payment.at),
        id=hash48("event", payment.event_id),
        amount=MISSING_AMOUNT if payment.amount is None else amount_units(payment.amount),
        currency=_letters(payment.currency),
        user=hash48("user", payment.user),
        device=hash48("device", payment.device),
        payment_token=hash48("payment_token", payment.payment_token),
        country=_letters(payment.country),
        latitude=round(latitude * DEGREE_UNITS) if located and latitude is not None else MISSING_PLACE,
        longitude=round(longitude * DEGREE_UNITS) if located and longitude is not None else MISSING_PLACE,
        declined=int(payment.declined),
        received_at=microseconds(payment.received_at),
    )


def microseconds(moment: datetime) -> int:
    """Whole microseconds since 1970, exactly."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment_of(at: int) -> datetime:
    """The inverse of `microseconds`."""
    return _EPOCH + timedelta(microseconds=at)


def amount_units(amount: Decimal) -> int:
    """Ten-thousandths, half to even. `amount` is at least 0 and below `MAX_AMOUNT`."""
    return int((amount * AMOUNT_UNITS).to_integral_value(ROUND_HALF_EVEN))


def hash48(kind: str, value: str | None) -> int:
    """A 48-bit hash that is never 0; 0 when there is no value. Kinds do not mix."""
    if not value:
        return 0
    digest = blake2b(value.encode("utf-8", "surrogatepass"), digest_size=6, person=kind.encode()).digest()
    return int.from_bytes(digest, "little") or 1


def _letters(code: str | None) -> int:
    """Up to three capital letters in 15 bits; 0 when missing."""
    number = 0
    for letter in code or "":
        number = number * 32 + (ord(letter) - 64)
    return number


_PACKING = struct.Struct("<q6sqH6s6s6sHiiB")
OBSERVATION_BYTES: Final = _PACKING.size


def pack(observation: Observation) -> bytes:
    """The 53 bytes under which an observation is stored (layout `v1`); `received_at` is not kept."""
    return _PACKING.pack(
        observation.at,
        observation.id.to_bytes(6, "little"),
        observation.amount,
        observation.currency,
        observation.user.to_bytes(6, "little"),
        observation.device.to_bytes(6, "little"),
        observation.payment_token.to_bytes(6, "little"),
        observation.country,
        observation.latitude,
        observation.longitude,
        observation.declined,
    )


def unpack(packed: bytes) -> Observation:
    """The inverse of `pack`, with `received_at` 0."""
    at, id_, amount, currency, user, device, token, country, latitude, longitude, declined = _PACKING.unpack(packed)
    return Observation(
        at,
        int.from_bytes(id_, "little"),
        amount,
        currency,
        int.from_bytes(user, "little"),
        int.from_bytes(device, "little"),
        int.from_bytes(token, "little"),
        country,
        latitude,
        longitude,
        declined,
        0,
    )
