"""What a round's clients send: people whose events have an order, and one card tester. Pure; all follows from the round's seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from weir_anomaly import generators
from weir_anomaly.generators import Episode
from weir_anomaly.generators.episode import Actor

Event = dict[str, Any]
CARDS = 12
CARDS_UNTIL_FOUND = 5
PURCHASE_EVERY = 5


@dataclass(frozen=True)
class Line:
    """One subject's events, in the order in which they must stay. The iterator may be endless."""

    subject: str
    events: Iterator[Event]


def person(seed: str, tenant: str, number: int) -> Line:
    """Somebody who looks at pages and buys at every fifth; stamped with the time at which each event is taken."""
    subject = f"person-{number}"
    return Line(subject, _endless(Actor(f"{seed}/{tenant}/{number}", tenant, user=subject)))


def _endless(actor: Actor) -> Iterator[Event]:
    count = 0
    while True:
        count += 1
        now = datetime.now(UTC)
        if count % PURCHASE_EVERY == 0:
            cart = actor.cart(round(actor.chance.uniform(5, 80), 2), token=actor.token(0))
            yield actor.event(now, "transaction", "purchase", transaction=cart)
        else:
            page = actor.page("product_detail", f"product/{actor.chance.randrange(50)}")
            yield actor.event(now, "user_interaction", "page_view", page=page)


def card_tester(seed: str, tenant: str, now: datetime) -> tuple[Episode, Line]:
    """An attack that must give one finding, whose every event from the fifth on counts once."""
    episode = generators.card_testing(f"{seed}/{tenant}", tenant, now - timedelta(minutes=5), cards=CARDS)
    return episode, Line(episode.entity, iter(episode.events))


def event_id(event: Event) -> str:
    """The id of an event."""
    return str(event["event_metadata"]["event_id"])


def is_payment(event: Event) -> bool:
    """Whether fraud decides on it."""
    return bool(event["event_data"]["event_type"] == "transaction")
