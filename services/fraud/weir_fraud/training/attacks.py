"""How payments are stolen: episodes of fraud upon a shop, each in its own way, some of them hardly to be told from honest ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from weir_fraud.domain.payment import Payment, PaymentKind
from weir_fraud.training.places import CITIES, City
from weir_fraud.training.shop import DAYS, START, Labelled, Person, Random, Shop, event_id, name, payment_by, reported


@dataclass(frozen=True, slots=True)
class Scene:
    """The shop, its people and their honest payments."""

    shop: Shop
    people: list[Person]
    honest: list[Labelled]


Attack = Callable[[Scene, datetime, Random], Iterator[Payment]]


def attacks_on(scene: Scene, random: Random) -> list[Labelled]:
    """All episodes upon a shop while it is open, not in order."""
    shop = scene.shop
    found: list[Labelled] = []
    for scenario, (attack, episodes_a_day) in ATTACKS.items():
        for day in random.uniform(shop.opens_on + 0.5, DAYS, random.poisson(episodes_a_day * (DAYS - shop.opens_on))):
            at = START + timedelta(days=float(day))
            for payment in attack(scene, at, random):
                found.extend(Labelled(event, scenario) for event in reported(shop, payment, random))
    return [labelled for labelled in found if labelled.payment.at < START + timedelta(days=DAYS)]


def card_testing(scene: Scene, at: datetime, random: Random) -> Iterator[Payment]:
    """A list of stolen cards is tried out with small amounts, in quick order, most of them in vain."""
    shop = scene.shop
    place = _somewhere(random)
    device = name(random, "device")
    hides = random.random()  # behind one account, a new visitor each time, or a new device each time
    thief = _thief(place, at, random)
    for _ in range(random.integers(6, 40)):
        at += timedelta(seconds=random.exponential(12))
        if 0.4 < hides < 0.75:
            thief = replace(thief, user_id=None, anonymous_id=name(random, "visitor"))
        yield payment_by(
            thief,
            shop,
            random,
            at=at,
            amount=shop.median_amount * random.uniform(0.02, 0.15),
            device=name(random, "device") if hides >= 0.75 else device,
            token=name(random, "token"),
            place=_near(place, random),
            billing_country=_somewhere(random).country,
            declined=random.random() < 0.75,
        )


def account_takeover(scene: Scene, at: datetime, random: Random) -> Iterator[Payment]:
    """Somebody else's account, from a device and a place that it does not know, for goods that sell well."""
    shop = scene.shop
    victim = scene.people[random.integers(len(scene.people))]
    if START + timedelta(days=victim.joins_on) > at:
        return
    place = _somewhere(random)
    device = name(random, "device")
    token = victim.tokens[0] if random.random() < 0.6 else name(random, "token")
    for _ in range(random.integers(1, 6)):
        yield payment_by(
            victim,
            shop,
            random,
            at=at,
            amount=victim.median_amount * random.uniform(1.5, 8),
            device=device,
            token=token,
            place=_near(place, random),
            shipping_country=_somewhere(random).country if random.random() < 0.5 else None,
            declined=random.random() < 0.15,
        )
        at += timedelta(seconds=random.exponential(900))


def stolen_card_spree(scene: Scene, at: datetime, random: Random) -> Iterator[Payment]:
    """A new account spends as much as it can on one or a few stolen cards before they are blocked."""
    shop = scene.shop
    place = _somewhere(random)
    thief = _thief(place, at, random)
    device = name(random, "device")
    tokens = [name(random, "token") for _ in range(random.integers(1, 4))]
    billed_in = _somewhere(random).country
    for _ in range(random.integers(2, 11)):
        yield payment_by(
            thief,
            shop,
            random,
            at=at,
            amount=shop.median_amount * random.lognormal(1.0, 0.6),
            device=device,
            token=tokens[random.integers(len(tokens))],
            place=_near(place, random),
            billing_country=billed_in,
            shipping_country=place.country,
            declined=random.random() < 0.25,
        )
        at += timedelta(seconds=random.exponential(400))


def geographic_jump(scene: Scene, at: datetime, random: Random) -> Iterator[Payment]:
    """The account is used on the other side of the world, minutes after its owner paid at home."""
    owner = scene.honest[random.integers(len(scene.honest))].payment
    if owner.user is None or owner.longitude is None:
        return
    far = [city for city in CITIES if abs(city.longitude - owner.longitude) > 50]
    place = far[random.integers(len(far))]
    device = owner.device if random.random() < 0.3 else name(random, "device")
    at = owner.at
    for _ in range(random.integers(1, 4)):
        at += timedelta(minutes=random.uniform(2, 90))
        latitude, longitude, country = _near(place, random)
        yield replace(
            owner,
            event_id=event_id(random),
            kind=PaymentKind.PURCHASE,
            declined=False,
            at=at,
            received_at=at,
            amount=round((owner.amount or Decimal(1)) * Decimal(random.lognormal(0.4, 0.6)), scene.shop.decimals),
            device=device if owner.device else None,
            latitude=latitude,
            longitude=longitude,
            country=country,
        )


def payment_bot(scene: Scene, at: datetime, random: Random) -> Iterator[Payment]:
    """A program buys the same again and again, faster and longer than a person would, until somebody notices."""
    shop = scene.shop
    place = _somewhere(random)
    bot = _thief(place, at, random)
    device, token = name(random, "device"), name(random, "token")
    amount = shop.median_amount * random.lognormal(0, 0.7)
    pause = random.uniform(0.2, 40)
    for _ in range(random.integers(15, 80)):
        at += timedelta(seconds=random.exponential(pause))
        yield payment_by(
            bot,
            shop,
            random,
            at=at,
            amount=amount * random.uniform(0.95, 1.05),
            device=device,
            token=token,
            place=_near(place, random),
            declined=random.random() < 0.1,
        )


def friendly_fraud(scene: Scene, at: datetime, random: Random) -> Iterator[Payment]:
    """The owner pays and denies it later: no feature of the payment can show it. Keeps the scores honest."""
    shop = scene.shop
    buyer = scene.people[random.integers(len(scene.people))]
    if START + timedelta(days=buyer.joins_on) > at:
        return
    yield payment_by(
        buyer,
        shop,
        random,
        at=at,
        amount=buyer.median_amount * random.lognormal(0.3, 0.5),
        device=buyer.devices[0],
        token=buyer.tokens[0],
        place=(buyer.latitude, buyer.longitude, buyer.home.country),
    )


ATTACKS: Final[Mapping[str, tuple[Attack, float]]] = {
    "card_testing": (card_testing, 0.2),
    "account_takeover": (account_takeover, 0.5),
    "stolen_card_spree": (stolen_card_spree, 0.35),
    "geographic_jump": (geographic_jump, 0.4),
    "payment_bot": (payment_bot, 0.15),
    "friendly_fraud": (friendly_fraud, 0.15),
}
"""Each attack with its episodes a day and shop."""


def _thief(place: City, at: datetime, random: Random) -> Person:
    age = timedelta(minutes=random.exponential(600))
    known = random.random() < 0.7
    return Person(
        user_id=name(random, "user") if known else None,
        anonymous_id=name(random, "visitor"),
        home=place,
        latitude=place.latitude,
        longitude=place.longitude,
        devices=[],
        tokens=[],
        registered_at=at - age if known else None,
        joins_on=0,
        payments_a_day=0,
        median_amount=0,
        spread=0,
        hour=0,
        uses_vpn=True,
        trip=None,
    )


def _somewhere(random: Random) -> City:
    return CITIES[random.integers(len(CITIES))]


def _near(city: City, random: Random) -> tuple[float, float, str]:
    return city.latitude + random.normal(0, 0.05), city.longitude + random.normal(0, 0.05), city.country
