"""What the figures leave out, counted by reason and shown beside them. Stored as a metric, but not one of the catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from weir_common.consent import Consent, Purpose

from weir_analytics.domain.facts import LeftOut
from weir_analytics.domain.metric import Additivity, Count, Example, Metric, Total

DUPLICATE_ORDER = "duplicate_order"
"""A second purchase event of an order that was counted already."""
NO_CURRENCY = "purchase_without_currency"
"""The cart names none and its lines name none or several: no money is counted, the order is, under XXX."""
NO_TOTAL = "purchase_without_total"
"""No final total, or one that is no plausible amount: no revenue is counted, the order is."""
NO_QUANTITY = "order_line_without_quantity"
"""One of several lines without a quantity (or price): its category gets no money, its line is counted."""

ANALYTICS_REFUSED = "analytics_refused"
"""An event whose subject refused analytics: in no figure of behaviour or people."""
TRACKING_REFUSED = "tracking_refused"
"""An event whose subject refused tracking: in no figure of people, and in no session."""
BY_CONSENT: Final = {Consent.ANALYTICS: ANALYTICS_REFUSED, Consent.TRACKING: TRACKING_REFUSED}


def measure(left_out: LeftOut) -> Iterator[Count]:
    yield Count((left_out.reason,), 1, 1)


LEFT_OUT = Metric(
    name="left_out",
    title="Left out",
    additivity=Additivity.ADDITIVE,
    purpose=Purpose.ACCOUNTABILITY,
    unit="events",
    source="weir.ingest.events.v2",
    where="events, orders and order lines that a figure could not count",
    value="one for each",
    dimensions=("reason",),
    description="How much the other figures leave out, and why.",
    follows="Weir: a figure says what it does not hold.",
    trap="Reasons overlap: a purchase may lack its currency and its total, and a subject may refuse analytics and tracking.",
    fact=LeftOut,
    measure=measure,
    example=Example(
        facts=(LeftOut(0, DUPLICATE_ORDER), LeftOut(1, NO_CURRENCY), LeftOut(2, DUPLICATE_ORDER)),
        figures={(DUPLICATE_ORDER,): Total(Decimal(2), 2), (NO_CURRENCY,): Total(Decimal(1), 1)},
    ),
    series=False,
)
