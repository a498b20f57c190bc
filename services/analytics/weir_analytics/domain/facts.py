"""What the metrics count. A fact has an event time and is either added or, when the truth changes, taken back.

An event gives facts of several kinds (`weir_analytics.domain.event.facts_of`); sessions and orders give facts of their own
when they begin, change or turn out to be duplicates. Times are microseconds of the Unix epoch, UTC: integers sort, add and
cut into minutes without a calendar.

Each carries what the subject of its event refused; the rollups count it only in metrics whose purpose may have it.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec
from weir_common.consent import NOTHING, Refused

Microseconds = int

MICROSECONDS = 1_000_000


class OrderLine(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One product of an order. `amount` is None where the quantity of one of several lines is unknown."""

    category: str
    amount: Decimal | None


class _Fact(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    refused: Refused = NOTHING


class Purchase(_Fact, frozen=True):
    """The first purchase event of an order; later ones with the same order id do not count."""

    at: Microseconds
    order: str
    event_id: str
    currency: str | None
    """ISO 4217; None where the event gives none or its lines disagree."""
    final_total: Decimal | None
    """What the customer paid: goods, less discounts, with tax and shipping."""
    goods: Decimal | None
    """Subtotal less discounts, without tax and shipping."""
    country: str
    """ISO 3166-1 alpha-2 of the shipping address, or `unknown`."""
    lines: tuple[OrderLine, ...]


class DeviceSessionStarted(_Fact, frozen=True, gc=False):
    """One device session, at the time of its first event; taken back and added again when late events change it."""

    at: Microseconds
    converted: bool
    """It holds at least one purchase."""


class PersonSeen(_Fact, frozen=True, gc=False):
    """A person did something. `person` is `user:<id>`, else `anonymous:<id>`, else `device:<fingerprint>`."""

    at: Microseconds
    person: str


class PageLoaded(_Fact, frozen=True, gc=False):
    """A page became visible `largest_contentful_paint` milliseconds after navigation."""

    at: Microseconds
    largest_contentful_paint: float


class PaymentScored(_Fact, frozen=True, gc=False):
    """The fraud service decided on a payment; `at` is the time of the payment, not of the decision."""

    at: Microseconds
    declined: bool
    amount: Decimal | None
    currency: str | None


class LeftOut(_Fact, frozen=True, gc=False):
    """Something that a figure had to leave out, and why; every answer says how many."""

    at: Microseconds
    reason: str


Fact = Purchase | DeviceSessionStarted | PersonSeen | PageLoaded | PaymentScored | LeftOut
