"""active_people: distinct persons who did anything."""

from __future__ import annotations

from collections.abc import Iterator

from weir_common.consent import Purpose

from weir_analytics.domain.facts import PersonSeen
from weir_analytics.domain.metric import Additivity, Distinct, Example, Member, Metric


def measure(seen: PersonSeen) -> Iterator[Member]:
    yield Member((), seen.person)


METRIC = Metric(
    name="active_people",
    title="Unique users",
    additivity=Additivity.DISTINCT,
    purpose=Purpose.PEOPLE,
    unit="persons",
    source="weir.ingest.events.v2",
    where="user_interaction and transaction events that name a person: user_id, else anonymous_id, else device_fingerprint",
    value="distinct persons; exact to 1,024, then an estimate with a standard error of 1.6 %",
    description="Persons with any activity. An anonymous visitor is a person of their own.",
    follows="GA4's active users, without its condition that a session be engaged.",
    trap="Uniques do not add: the sum over hours or minutes counts a person again in each. Someone who signs in is two until identities are joined.",
    fact=PersonSeen,
    measure=measure,
    example=Example(
        facts=(PersonSeen(0, "user:ann"), PersonSeen(1, "anonymous:c00kie"), PersonSeen(2, "user:ann")),
        figures={(): Distinct(2, exact=True)},
    ),
)
