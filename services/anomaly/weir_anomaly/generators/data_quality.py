"""A broken sender (rule 20): every tenth event without a real currency; and a release that sends something new twice."""

from __future__ import annotations

from datetime import datetime, timedelta

from weir_anomaly.generators.episode import Actor, Episode, line_of

RULE = "tec.data_quality"


def data_quality(seed: str, tenant_id: str, start: datetime, *, events: int = 400, share: float = 0.1) -> Episode:
    """``share`` of the product views carry the currency XYZ."""
    actor = Actor(f"{seed}/sender", tenant_id)
    made, at = [], start
    for number in range(events):
        at += timedelta(seconds=1)
        broken = number % round(1 / share) == 0
        made.append(
            actor.event(
                at,
                "user_interaction",
                "search",
                transaction={"products": [line_of(f"sku-{number}", 5.0, "XYZ" if broken else "USD")]},
                page=actor.page("search_results", "search"),
                source="mobile_app",
            )
        )
    return Episode("broken currency", RULE, tenant_id, "stream:mobile_app/search", start, at, tuple(made))


def two_new_subtypes(seed: str, tenant_id: str, start: datetime) -> Episode:
    """The twin: a subtype that nobody knows, twice."""
    actor = Actor(f"{seed}/release", tenant_id)
    at = start + timedelta(seconds=5)
    events = (
        actor.event(start, "user_interaction", "wishlist_shared"),
        actor.event(at, "user_interaction", "wishlist_shared"),
    )
    return Episode("new subtype", RULE, tenant_id, "stream:web_app/wishlist_shared", start, at, events, malicious=False)
