"""Labelled attacks for the demo, and the verdict on what was found of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from weir_anomaly import generators
from weir_anomaly.generators import Episode
from weir_anomaly.generators.episode import Actor

from weir_local.demo.shoppers import Event

__all__ = ["Episode", "as_found", "episodes", "hit", "judge", "payment", "traced"]

LookUp = Callable[[Mapping[str, Sequence[str]]], Awaitable[Mapping[str, Mapping[str, str | None]]]]
"""Asks the mesh as what a shop's identifiers stand in its answers."""

_KINDS = {"user": "user_ids", "device": "device_fingerprints"}


def episodes(tenants: Sequence[str], last_day: date) -> list[Episode]:
    """One attack of each kind for each tenant, at different hours of the two days."""
    found: list[Episode] = []
    midnight = datetime.combine(last_day - timedelta(days=1), datetime.min.time(), UTC)
    for index, tenant in enumerate(tenants):
        seed = f"demo-{index}"
        found.append(generators.card_testing(seed, tenant, midnight + timedelta(hours=11 + index)))
        found.append(generators.geo_impossible(seed, tenant, midnight + timedelta(hours=15 + index)))
        found.append(generators.bot(seed, tenant, midnight + timedelta(hours=33 + index)))
    return found


async def as_found(episode: Episode, look_up: LookUp) -> Episode:
    """The same episode on the entity that a finding names; one that the mesh does not know keeps a name that none has."""
    kind, _, value = episode.entity.partition(":")
    found = await look_up({_KINDS[kind]: [value]})
    return dataclasses.replace(episode, entity=f"{kind}:{found[_KINDS[kind]][value]}")


def hit(episode: Episode, findings: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Findings of the episode's rule on its entity that overlap it."""
    return [
        finding
        for finding in findings
        if finding["rule"] == episode.rule
        and finding["entity"] == episode.entity
        and datetime.fromisoformat(finding["first_event_at"]) <= episode.end
        and datetime.fromisoformat(finding["last_event_at"]) >= episode.start
    ]


def judge(
    episodes_: Sequence[Episode], findings: Mapping[str, Sequence[Mapping[str, Any]]], arrived: Mapping[str, float]
) -> dict[str, Any]:
    """What was found of each episode and how soon, and which findings belong to none (false alarms).

    The delay is wall time from the acceptance of the episode's first event to the opening of the finding.
    """
    labelled: set[str] = set()
    verdicts: dict[str, Any] = {}
    for episode in episodes_:
        mine = hit(episode, findings[episode.tenant_id])
        labelled |= {finding["finding_id"] for finding in mine}
        first = min(
            (
                arrived[event["event_metadata"]["event_id"]]
                for event in episode.events
                if event["event_metadata"]["event_id"] in arrived
            ),
            default=None,
        )
        opened = min((datetime.fromisoformat(finding["opened_at"]).timestamp() for finding in mine), default=None)
        verdicts[f"{episode.name} at {episode.tenant_id}"] = {
            "rule": episode.rule,
            "entity": episode.entity,
            "found": bool(mine),
            "severity": mine[0]["severity"] if mine else None,
            "delay_seconds": max(0.0, opened - first) if opened is not None and first is not None else None,
            "events": len(episode.events),
        }
    attackers = {event_id(event) for episode in episodes_ for event in episode.events}
    false = [
        {key: finding[key] for key in ("tenant_id", "finding_id", "rule", "entity", "severity", "cleared_by")}
        for tenant in findings.values()
        for finding in tenant
        # A finding of another rule on an attack's own events is no false alarm: the attack shows in several ways.
        if finding["finding_id"] not in labelled and not attackers & set(finding["event_ids"])
    ]
    return {"episodes": verdicts, "false_alarms": false}


def event_id(event: Event) -> str:
    """The id of an event."""
    return str(event["event_metadata"]["event_id"])


def traced(tenant: str, now: datetime) -> list[Event]:
    """Six declined cards on one device within a minute; the fifth opens a finding. To be sent within one trace."""
    actor = Actor(f"traced/{tenant}/{now.timestamp()}", tenant)
    return [
        actor.event(
            now - timedelta(seconds=60 - 10 * number),
            "transaction",
            "payment_declined",
            transaction=actor.cart(1.0, token=actor.token(number)),
        )
        for number in range(6)
    ]


def payment(tenant: str, event_id_: str, now: datetime) -> Event:
    """One payment, for the inference endpoint alone."""
    actor = Actor(f"payment/{tenant}/{event_id_}", tenant, user="endpoint")
    event = actor.event(now, "transaction", "purchase", transaction=actor.cart(12.5, token=actor.token(0)))
    event["event_metadata"]["event_id"] = event_id_
    return event
