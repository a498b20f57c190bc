"""sessions: device sessions started."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from weir_common.consent import Purpose

from weir_analytics.domain.facts import DeviceSessionStarted
from weir_analytics.domain.metric import Additivity, Count, Example, Metric, Total


def measure(session: DeviceSessionStarted) -> Iterator[Count]:
    yield Count((), 1, 1)


METRIC = Metric(
    name="sessions",
    title="Sessions",
    additivity=Additivity.ADDITIVE,
    purpose=Purpose.PEOPLE,
    unit="sessions",
    source="weir.ingest.events.v2",
    where="user_interaction and transaction events from web_app or mobile_app that carry a device: anonymous_id, else device_fingerprint, else user_id",
    value="one for each device session, in the minute of its first event",
    description=(
        "Device sessions started. A session ends after 30 minutes without an event, after 24 hours, when the client's "
        "session id changes and when another user signs in; midnight, campaigns, sign-in and sign-out do not end it."
    ),
    follows="GA4 (30 minutes) with the 24-hour cap of PostHog.",
    trap="A late event can join two sessions or move a start: the count of a past minute may go down.",
    fact=DeviceSessionStarted,
    measure=measure,
    example=Example(
        facts=(DeviceSessionStarted(0, converted=False), DeviceSessionStarted(1, converted=True)),
        figures={(): Total(Decimal(2), 2)},
    ),
)
