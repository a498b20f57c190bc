"""A forged price (rule 12): the cart holds a hundredth of what was shown; and a price that fell between two views."""

from __future__ import annotations

from datetime import datetime, timedelta

from weir_anomaly.generators.episode import Actor, Episode, line_of

RULE = "biz.price_manipulation"


def price_manipulation(seed: str, tenant_id: str, start: datetime, *, factor: float = 0.01) -> Episode:
    """Looked at for 500, bought for 500 × ``factor``."""
    actor = Actor(f"{seed}/forger", tenant_id, user=f"{seed}-forger")
    shown, forged = 500.0, round(500.0 * factor, 2)
    end = start + timedelta(minutes=3)
    line = line_of("sku-tv", forged)
    events = (
        actor.event(start, "user_interaction", "product_view", transaction={"products": [line_of("sku-tv", shown)]}),
        actor.event(start + timedelta(minutes=1), "user_interaction", "add_to_cart", transaction={"products": [line]}),
        actor.event(end, "transaction", "purchase", transaction=actor.cart(forged, token=actor.token(1), product=line)),
    )
    return Episode("forged price", RULE, tenant_id, f"user:{actor.user}", start, end, events)


def price_drop(seed: str, tenant_id: str, start: datetime) -> Episode:
    """The twin: shown for 100, shown again for 60, bought for 60."""
    actor = Actor(f"{seed}/bargain", tenant_id, user=f"{seed}-bargain")
    end = start + timedelta(minutes=9)
    line = line_of("sku-shoe", 60.0)
    events = (
        actor.event(start, "user_interaction", "product_view", transaction={"products": [line_of("sku-shoe", 100.0)]}),
        actor.event(start + timedelta(minutes=5), "user_interaction", "product_view", transaction={"products": [line]}),
        actor.event(end, "transaction", "purchase", transaction=actor.cart(60.0, token=actor.token(1), product=line)),
    )
    return Episode("price drop", RULE, tenant_id, f"user:{actor.user}", start, end, events, malicious=False)
