"""A scraper (rule 7): the catalogue in order, at an even pace, without looking; and a person who compares fast."""

from __future__ import annotations

from datetime import datetime, timedelta

from weir_anomaly.generators.episode import Actor, Episode, line_of

RULE = "beh.bot"


def bot(seed: str, tenant_id: str, start: datetime, *, pages: int = 120, gap_seconds: float = 2.0) -> Episode:
    """``pages`` product pages, two seconds apart with ten per cent of jitter."""
    actor = Actor(f"{seed}/bot", tenant_id)
    events, at = [], start
    for number in range(pages):
        at += timedelta(seconds=gap_seconds * actor.chance.uniform(0.9, 1.1))
        events.append(
            actor.event(
                at,
                "user_interaction",
                "product_view",
                transaction={"products": [line_of(f"{100_000 + number}", 9.99)]},
                page=actor.page("product_detail", f"products/{100_000 + number}", human=False),
            )
        )
    return Episode("bot", RULE, tenant_id, f"device:{actor.device}", start, at, tuple(events))


def fast_comparer(seed: str, tenant_id: str, start: datetime) -> Episode:
    """The twin: 60 pages in ten minutes, with clicks, in no order, at a human's pace."""
    actor = Actor(f"{seed}/comparer", tenant_id, user="comparer")
    events, at = [], start
    for _ in range(60):
        at += timedelta(seconds=min(actor.chance.lognormvariate(2.0, 0.8), 60))
        number = actor.chance.randrange(100_000, 200_000)
        events.append(
            actor.event(
                at,
                "user_interaction",
                "product_view",
                transaction={"products": [line_of(f"{number}", 9.99)]},
                page=actor.page("product_detail", f"products/{number}"),
            )
        )
    return Episode("fast comparer", RULE, tenant_id, f"user:{actor.user}", start, at, tuple(events), malicious=False)
