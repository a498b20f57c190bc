"""Synthetic shops: people who pay as people do, with the habits that look like fraud and are not.

Five shops differ in currency, prices, countries, in which fields of the event they fill, and in whether they report an attempt
before its outcome, so that the model learns to live with what a tenant does not send. Everything comes from one seed.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

import numpy as np
from weir_common.ids import EventId, SubjectId, TenantId

from weir_fraud.domain.payment import Payment, PaymentKind
from weir_fraud.training.places import CITIES, City

START: Final = datetime(2026, 1, 5, tzinfo=UTC)
DAYS: Final = 56

Random = np.random.Generator


@dataclass(frozen=True, slots=True)
class Labelled:
    """A payment with the truth about it; `scenario` is the kind of fraud, or empty."""

    payment: Payment
    scenario: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """One tenant. `sends_*` are the shares of its events that carry a field; `opens_on` is its first day on the mesh."""

    tenant_id: TenantId
    currency: str
    decimals: int
    median_amount: float
    spread: float
    countries: frozenset[str]
    people: int = 900
    opens_on: int = 0
    sends_device: float = 0.95
    sends_token: float = 0.97
    sends_place: float = 0.9
    sends_registration: float = 0.9
    sends_addresses: float = 0.9
    reports_attempts: bool = False
    kiosks: int = 0
    """Devices of the shop itself, which strangers share."""


SHOPS: Final = (
    Shop(
        tenant_id=TenantId("grocer"),
        currency="EUR",
        decimals=2,
        median_amount=35,
        spread=0.7,
        countries=frozenset({"DE", "AT", "FR"}),
        sends_place=0.6,
        sends_addresses=0.4,
        kiosks=3,
    ),
    Shop(
        tenant_id=TenantId("electronics"),
        currency="USD",
        decimals=2,
        median_amount=160,
        spread=1.1,
        countries=frozenset({"US", "CA"}),
        reports_attempts=True,
    ),
    Shop(
        tenant_id=TenantId("fashion"),
        currency="GBP",
        decimals=2,
        median_amount=55,
        spread=0.8,
        countries=frozenset({"GB", "IE"}),
        sends_place=0.0,
        sends_registration=0.5,
    ),
    Shop(
        tenant_id=TenantId("marketplace"),
        currency="JPY",
        decimals=0,
        median_amount=5_200,
        spread=1.0,
        countries=frozenset({"JP", "KR"}),
        sends_device=0.7,
        sends_registration=0.0,
        reports_attempts=True,
    ),
    # Opens in the training period, so that the model sees a shop where everybody is new.
    Shop(
        tenant_id=TenantId("newcomer"),
        currency="USD",
        decimals=2,
        median_amount=48,
        spread=0.7,
        countries=frozenset({"US"}),
        opens_on=28,
        sends_token=0.6,
        sends_place=0.5,
        sends_registration=0.0,
        sends_addresses=0.0,
    ),
)


@dataclass(slots=True)
class Person:
    """A shopper with habits."""

    user_id: str | None
    anonymous_id: str | None
    home: City
    latitude: float
    longitude: float
    devices: list[str]
    tokens: list[str]
    registered_at: datetime | None
    joins_on: float
    """Days after the start."""
    payments_a_day: float
    median_amount: float
    spread: float
    hour: float
    """Solar time at which the person likes to pay."""
    uses_vpn: bool
    trip: tuple[float, float, City] | None
    """From day, to day, where."""
    last: Payment | None = field(default=None)


def payments_of(shop: Shop, random: Random) -> tuple[list[Labelled], list[Person]]:
    """The honest payments of a shop, not yet in order, and its people."""
    people = _people(shop, random)
    kiosks = [name(random, "kiosk") for _ in range(shop.kiosks)]
    payments = [Labelled(payment) for person in people for payment in _life_of(person, shop, kiosks, random)]
    return payments, people


def _people(shop: Shop, random: Random) -> list[Person]:
    homes = [city for city in CITIES if city.country in shop.countries]
    people: list[Person] = []
    for _ in range(shop.people):
        home = homes[random.integers(len(homes))]
        joins = shop.opens_on + (random.uniform(0, DAYS - shop.opens_on) if random.random() < 0.25 else 0.0)
        kind = random.random()
        devices = [name(random, "device") for _ in range(1 + random.binomial(2, 0.3))]
        if people and random.random() < 0.12:
            devices[0] = people[-1].devices[0]  # a family's tablet
        age_days = 0.0 if joins > shop.opens_on else random.exponential(500)
        trip_from = random.uniform(shop.opens_on, DAYS)
        people.append(
            Person(
                user_id=name(random, "user") if kind < 0.8 else None,
                anonymous_id=name(random, "visitor") if kind < 0.95 else None,
                home=home,
                latitude=home.latitude + random.normal(0, 0.08),
                longitude=home.longitude + random.normal(0, 0.08),
                devices=devices,
                tokens=[name(random, "token") for _ in range(1 + random.binomial(2, 0.25))],
                registered_at=START + timedelta(days=joins - age_days),
                joins_on=joins,
                payments_a_day=random.gamma(1.3, 0.2),
                median_amount=shop.median_amount * random.lognormal(0, 0.4),
                spread=shop.spread * random.uniform(0.4, 1.0),
                hour=random.normal(17, 4) % 24,
                uses_vpn=random.random() < 0.03,
                trip=(trip_from, trip_from + random.uniform(2, 12), CITIES[random.integers(len(CITIES))])
                if random.random() < 0.1
                else None,
            )
        )
    return people


def _life_of(person: Person, shop: Shop, kiosks: list[str], random: Random) -> Iterator[Payment]:
    days = DAYS - person.joins_on
    for day in np.sort(random.uniform(person.joins_on, DAYS, random.poisson(person.payments_a_day * days))):
        at = _at_their_hour(person, float(day), random)
        if at >= START + timedelta(days=DAYS):
            continue
        for number in range(1 + (random.integers(1, 4) if random.random() < 0.03 else 0)):
            # Now and then several orders in a row: something was forgotten.
            at += timedelta(seconds=number * random.uniform(60, 1_500))
            yield from _checkout(person, shop, kiosks, at, random)


def _checkout(person: Person, shop: Shop, kiosks: list[str], at: datetime, random: Random) -> Iterator[Payment]:
    device = person.devices[0] if random.random() < 0.8 else person.devices[random.integers(len(person.devices))]
    if random.random() < 0.01:  # a new phone
        device = name(random, "device")
        person.devices[0] = device
    if kiosks and random.random() < 0.08:
        device = kiosks[random.integers(len(kiosks))]
    if random.random() < 0.015:  # a new card
        person.tokens[0] = name(random, "token")
    token = person.tokens[0] if random.random() < 0.85 else person.tokens[random.integers(len(person.tokens))]
    latitude, longitude, country = _where(person, at, random)
    amount = person.median_amount * random.lognormal(0, person.spread)
    if random.random() < 0.02:
        amount *= random.uniform(3, 10)  # the one big purchase
    payment = payment_by(
        person,
        shop,
        random,
        at=at,
        amount=amount,
        device=device,
        token=token,
        place=(latitude, longitude, country),
        shipping_country=person.home.country if random.random() > 0.02 else "US",
    )
    while random.random() < 0.035:  # declined, and tried again
        yield from reported(shop, replace(payment, declined=True, kind=PaymentKind.PAYMENT_DECLINED), random)
        if random.random() < 0.4:
            token = person.tokens[random.integers(len(person.tokens))]
        payment = replace(
            payment,
            event_id=event_id(random),
            at=(at := at + timedelta(seconds=random.uniform(8, 150))),
            received_at=at,
            payment_token=token if payment.payment_token else None,
        )
    yield from reported(shop, payment, random)


def _at_their_hour(person: Person, day: float, random: Random) -> datetime:
    hour = (person.hour + random.normal(0, 3) - person.longitude / 15) % 24
    return START + timedelta(days=int(day), hours=hour)


def _where(person: Person, at: datetime, random: Random) -> tuple[float, float, str]:
    day = (at - START) / timedelta(days=1)
    if person.trip is not None and person.trip[0] + 0.5 < day < person.trip[1] - 0.5:
        city = person.trip[2]
        return city.latitude + random.normal(0, 0.05), city.longitude + random.normal(0, 0.05), city.country
    if person.uses_vpn and random.random() < 0.3:
        city = CITIES[random.integers(len(CITIES))]
        return city.latitude, city.longitude, city.country
    blur = 0.02 if random.random() < 0.9 else 1.0  # networks know the region at best
    return person.latitude + random.normal(0, blur), person.longitude + random.normal(0, blur), person.home.country


def payment_by(
    person: Person,
    shop: Shop,
    random: Random,
    *,
    at: datetime,
    amount: float,
    device: str,
    token: str,
    place: tuple[float, float, str],
    billing_country: str | None = None,
    shipping_country: str | None = None,
    declined: bool = False,
) -> Payment:
    """A payment with as many fields as the shop sends."""
    latitude, longitude, country = place
    located = random.random() < shop.sends_place
    addressed = random.random() < shop.sends_addresses
    return Payment(
        tenant_id=shop.tenant_id,
        event_id=event_id(random),
        transaction_id="",
        kind=PaymentKind.PAYMENT_DECLINED if declined else PaymentKind.PURCHASE,
        at=at,
        received_at=at,
        subject=SubjectId(person.user_id or person.anonymous_id or device),
        amount=Decimal(f"{amount:.{shop.decimals}f}"),
        currency=shop.currency,
        user_id=person.user_id,
        anonymous_id=person.anonymous_id,
        device=device if random.random() < shop.sends_device else None,
        payment_token=token if random.random() < shop.sends_token else None,
        declined=declined,
        country=country if located else None,
        latitude=min(90.0, max(-90.0, latitude)) if located else None,
        longitude=min(180.0, max(-180.0, longitude)) if located else None,
        billing_country=(billing_country or person.home.country) if addressed else None,
        shipping_country=(shipping_country or person.home.country) if addressed else None,
        registered_at=person.registered_at if person.user_id and random.random() < shop.sends_registration else None,
    )


def reported(shop: Shop, payment: Payment, random: Random) -> Iterator[Payment]:
    """The events that the shop sends of a payment: its outcome, and the attempt before it if the shop reports those."""
    if shop.reports_attempts:
        at = payment.at - timedelta(seconds=random.uniform(0.5, 4))
        yield replace(
            payment,
            event_id=event_id(random),
            at=at,
            received_at=at,
            kind=PaymentKind.PAYMENT_ATTEMPTED,
            declined=False,
        )
    yield payment


def event_id(random: Random) -> EventId:
    """A UUID from the seed."""
    return EventId(str(uuid.UUID(bytes=random.bytes(16), version=4)))


def name(random: Random, kind: str) -> str:
    """A name that nobody else has."""
    return f"{kind}-{random.bytes(6).hex()}"
