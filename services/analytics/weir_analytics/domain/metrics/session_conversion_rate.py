"""session_conversion_rate: the share of sessions with a purchase."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from weir_common.consent import Purpose

from weir_analytics.domain.facts import DeviceSessionStarted
from weir_analytics.domain.metric import Additivity, Count, Example, Metric, Ratio


def measure(session: DeviceSessionStarted) -> Iterator[Count]:
    yield Count((), int(session.converted), 1)


METRIC = Metric(
    name="session_conversion_rate",
    title="Conversion",
    additivity=Additivity.RATIO,
    purpose=Purpose.PEOPLE,
    unit="ratio",
    source="weir.ingest.events.v2",
    where="device sessions (see sessions)",
    value="sessions with at least one purchase event ÷ sessions, both in the minute of the session's first event",
    description="The share of sessions that bought something.",
    follows="Shopify's online store conversion rate: sessions with an order ÷ sessions.",
    trap="A session of 23:50 that buys at 00:10 converts on the first day. A purchase sent by a server belongs to no device session here.",
    fact=DeviceSessionStarted,
    measure=measure,
    example=Example(
        facts=(
            DeviceSessionStarted(0, converted=False),
            DeviceSessionStarted(1, converted=True),
            DeviceSessionStarted(2, converted=False),
            DeviceSessionStarted(3, converted=False),
        ),
        figures={(): Ratio(Decimal(1), Decimal(4))},
    ),
)
