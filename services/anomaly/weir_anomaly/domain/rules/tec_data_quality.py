"""``tec.data_quality``: the stream itself is wrong (catalogue rule 20), per sender and kind of event.

Parts: shares of events whose currency is no ISO 4217 code, whose place is (0, 0), whose price is not positive, whose time lies more
than five minutes ahead, whose total does not follow from its parts; and subtypes that the schema does not know.

Left for later: the dead man's switch and completeness per version (both need a tick and profiles), distributions (PSI), the ledger.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from weir_common.currencies import CURRENCIES

from weir_anomaly.domain.entity import Entity, entity
from weir_anomaly.domain.event import Event, amount
from weir_anomaly.domain.rule import ANY_SUBTYPE, Hit, Observation, Rule, State
from weir_anomaly.domain.severity import Severity
from weir_anomaly.domain.storable import shown_text

SHARE: Final = 0.01
MIN_EVENTS: Final = 200
UNKNOWN_TIMES: Final = 10
FUTURE_SECONDS: Final = 300.0
_HALVE_AT: Final = 4_000
_Z: Final = 3.09
"""One-sided 99.9 %: the lower bound of the share must lie above the limit."""

SUBTYPES: Final = frozenset(
    """
    page_view product_view search add_to_cart remove_from_cart checkout_started coupon_applied
    coupon_rejected login_succeeded login_failed logout signup credential_changed contact_changed
    address_changed recommendation_view recommendation_click payment_attempted payment_declined purchase
    cancellation refund return_requested return_received chargeback stored_value_redeemed price_changed
    inventory_adjusted promo_changed order_shipped order_delivered order_rerouted api_request rate_limited
    deploy fraud_score churn_score recommendation
    """.split()
)
CHECKS: Final = ("currency", "place", "price", "future", "total")
_MONEY: Final = frozenset({"currency", "price", "total"})
_WORDS: Final = {
    "currency": "events with a currency that is no ISO 4217 code",
    "place": "events placed at latitude 0, longitude 0",
    "price": "events with a price that is not positive",
    "future": "events more than five minutes ahead of their arrival",
    "total": "carts whose total does not follow from its parts",
}


class QualityState(State, frozen=True):
    """For each check: events looked at and events that fail; both halve at 4,000, so old faults fade. 100 bytes."""

    seen: tuple[int, ...] = (0, 0, 0, 0, 0)
    failed: tuple[int, ...] = (0, 0, 0, 0, 0)
    unknown: int = 0


class DataQuality(Rule):
    """See the module."""

    name = "tec.data_quality"
    version = 1
    family = "technical"
    title = "The stream itself is wrong"
    decides = "More than 1 % of a sender's events of one kind fail a check (99.9 % sure, at 200 events), or an unknown subtype came 10 times."
    wakes = frozenset({(ANY_SUBTYPE, ANY_SUBTYPE)})
    entity_kinds = ("stream",)
    state_type = QualityState
    state_version = 1
    state_seconds = 7 * 86_400.0
    quiet_seconds = 3_600.0
    rest_seconds = 6 * 3_600.0

    def entities(self, event: Event) -> Sequence[Entity]:
        """The sender's system and the subtype."""
        return (entity("stream", f"{event.source}/{event.subtype}"),)

    def observe(self, states: Sequence[Any], event: Event) -> Observation:
        """Count, then judge the checks that this event failed."""
        known: QualityState = states[0] if states[0] is not None else QualityState()
        verdicts = checks(event)
        unknown = event.subtype not in SUBTYPES
        seen, failed = list(known.seen), list(known.failed)
        for index, verdict in enumerate(verdicts):
            if verdict is None:
                continue
            seen[index] += 1
            failed[index] += not verdict
            if seen[index] >= _HALVE_AT:
                seen[index] //= 2
                failed[index] //= 2
        grown = QualityState(tuple(seen), tuple(failed), min(known.unknown + unknown, 1_000_000))
        if not unknown and False not in verdicts:
            return (grown,), ()
        key = self.entities(event)[0]
        hits = [
            hit
            for check, verdict, looked_at, bad in zip(CHECKS, verdicts, seen, failed, strict=True)
            if verdict is False and (hit := _judge(check, looked_at, bad, event, key)) is not None
        ]
        if unknown and grown.unknown >= UNKNOWN_TIMES:
            hits.append(_unknown(grown.unknown, event, key))
        hits.sort(key=lambda hit: -hit.severity.rank)
        return (grown,), hits[:1]


def checks(event: Event) -> tuple[bool | None, ...]:
    """Whether the event passes, in the order of ``CHECKS``; None for a check that does not apply to it."""
    currency: bool | None = None
    price: bool | None = None
    for line in event.lines:
        pricing = line.pricing
        if pricing is None:
            continue
        if pricing.currency:
            currency = currency is not False and pricing.currency in CURRENCIES
        asked = amount(pricing.sale_price)
        if asked is not None:
            # Nothing is for free only if it has a list price, too.
            price = price is not False and asked >= 0
    located = event.geolocation
    place = located.coordinates if located is not None else None
    return (
        currency,
        None if place is None else not (place.lat == 0 and place.lon == 0),
        price,
        event.at <= event.accepted_at + FUTURE_SECONDS,
        _total_follows(event),
    )


def _total_follows(event: Event) -> bool | None:
    cart = event.cart
    value = cart.cart_value if cart is not None else None
    if value is None:
        return None
    total, subtotal = amount(value.final_total), amount(value.subtotal)
    if total is None or subtotal is None:
        return None
    follows, parts = subtotal, 0
    for discount in value.discounts_applied or ():
        follows -= amount(discount.discount_amount) or 0.0
        parts += 1
    for tax in value.tax_breakdown or ():
        follows += amount(tax.amount) or 0.0
        parts += 1
    shipping = value.shipping_costs
    if shipping is not None:
        for cost in (shipping.base_shipping, shipping.expedited_fee, shipping.insurance):
            follows += amount(cost) or 0.0
        parts += 3
    # Each part may have been rounded for itself.
    return abs(total - follows) <= 0.01 * (parts + 1) + 1e-9


def wilson_lower(failed: int, seen: int) -> float:
    """Lower bound of a share (Wilson 1927), one-sided 99.9 %."""
    if seen == 0:
        return 0.0
    share, square = failed / seen, _Z * _Z
    centre = share + square / (2 * seen)
    spread = _Z * math.sqrt(share * (1 - share) / seen + square / (4 * seen * seen))
    return (centre - spread) / (1 + square / seen)


def _judge(check: str, seen: int, failed: int, event: Event, key: Entity) -> Hit | None:
    lower = wilson_lower(failed, seen)
    if seen < MIN_EVENTS or lower <= SHARE:
        return None
    return Hit(
        entity=key,
        severity=Severity.HIGH if check in _MONEY else Severity.MEDIUM,
        window_start=event.at,
        window_end=event.at,
        observed=round(failed / seen, 4),
        expected=0.0,
        spread=SHARE,
        unit="share of events",
        score=lower / SHARE,
        threshold=1.0,
        layer="peers",
        cleared_by=f"at most {SHARE:.0%} of {_WORDS[check]} (seen {failed} of {seen})",
        evidence={
            "check": check,
            "what": _WORDS[check],
            "failed": failed,
            "looked_at": seen,
            "sender": shown_text(event.source),
            "version": shown_text(event.version),
            "sample_event": event.event_id,
        },
    )


def _unknown(times: int, event: Event, key: Entity) -> Hit:
    return Hit(
        entity=key,
        severity=Severity.MEDIUM,
        window_start=event.at,
        window_end=event.at,
        observed=float(times),
        expected=0.0,
        unit="events",
        score=times / UNKNOWN_TIMES,
        threshold=1.0,
        layer="peers",
        cleared_by=f"fewer than {UNKNOWN_TIMES} events of a subtype that schema 2.1 does not list",
        evidence={
            "check": "subtype",
            "subtype": shown_text(event.subtype),
            "times": times,
            "version": shown_text(event.version),
        },
    )
