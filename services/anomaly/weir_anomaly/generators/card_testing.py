"""Card testing (rule 21): a list of stolen cards tried with small amounts; and a student whose three own cards are empty."""

from __future__ import annotations

from datetime import datetime, timedelta

from weir_anomaly.generators.episode import Actor, Episode, EventDocument

RULE = "fin.card_testing"


def card_testing(seed: str, tenant_id: str, start: datetime, *, cards: int = 40, per_second: float = 0.5) -> Episode:
    """``cards`` different cards on one device, nine of ten declined, amounts of one or two units."""
    actor = Actor(f"{seed}/card-testing", tenant_id)
    events, at = [], start
    for number in range(cards):
        at = start + timedelta(seconds=number / per_second)
        amount = actor.chance.choice((1.0, 1.0, 1.49, 2.0))
        declined = number % 10 != 9
        cart = actor.cart(amount, token=actor.token(number))
        events.append(
            actor.event(at, "transaction", "payment_declined" if declined else "purchase", transaction=_billed(cart))
        )
    return Episode("card testing", RULE, tenant_id, f"device:{actor.device}", start, at, tuple(events))


def student_with_empty_cards(seed: str, tenant_id: str, start: datetime) -> Episode:
    """The twin: one person, three cards, five declines and then a purchase."""
    actor = Actor(f"{seed}/student", tenant_id, user="student")
    events, at = [], start
    for number in range(6):
        at = start + timedelta(seconds=40 * number)
        cart = actor.cart(29.9, token=actor.token(number % 3))
        events.append(
            actor.event(at, "transaction", "purchase" if number == 5 else "payment_declined", transaction=_billed(cart))
        )
    return Episode("empty cards", RULE, tenant_id, f"device:{actor.device}", start, at, tuple(events), malicious=False)


def _billed(cart: EventDocument) -> EventDocument:
    cart["cart_context"]["payment_context"]["shipping_context"] = {"shipping_address": {"country": "US"}}
    return cart
