"""Impossible travel (rule 2): a login at home, another from far away soon after; and a flight that takes its time."""

from __future__ import annotations

from datetime import datetime, timedelta

from weir_anomaly.generators.episode import Actor, Episode

RULE = "fin.geo_impossible"
_HOME = (41.8781, -87.6298, "US")
_FAR = (55.7558, 37.6173, "RU")
_NEAR = (41.5, -88.1, "US")


def geo_impossible(seed: str, tenant_id: str, start: datetime, *, after: timedelta = timedelta(minutes=40)) -> Episode:
    """Chicago, then Moscow from another device."""
    user = f"{seed}-victim"
    owner = Actor(f"{seed}/owner", tenant_id, user=user, place=_HOME)
    thief = Actor(f"{seed}/thief", tenant_id, user=user, place=_FAR)
    events = (
        owner.event(start, "user_interaction", "login_succeeded", page=owner.page("login", "login")),
        owner.event(start + timedelta(minutes=2), "user_interaction", "page_view", page=owner.page("home", "")),
        thief.event(start + after, "user_interaction", "login_succeeded", page=thief.page("login", "login")),
    )
    return Episode("impossible travel", RULE, tenant_id, f"user:{user}", start, start + after, events)


def flight(seed: str, tenant_id: str, start: datetime) -> Episode:
    """The twin: the same two cities, eleven hours apart."""
    user = f"{seed}-traveller"
    home = Actor(f"{seed}/traveller", tenant_id, user=user, place=_HOME)
    away = Actor(f"{seed}/traveller-away", tenant_id, user=user, place=_FAR)
    end = start + timedelta(hours=11)
    events = (
        home.event(start, "user_interaction", "login_succeeded"),
        away.event(end, "user_interaction", "login_succeeded"),
    )
    return Episode("flight", RULE, tenant_id, f"user:{user}", start, end, events, malicious=False)


def commuter(seed: str, tenant_id: str, start: datetime) -> Episode:
    """The twin: two places 60 km apart within minutes, as carriers report them."""
    user = f"{seed}-commuter"
    home = Actor(f"{seed}/commuter", tenant_id, user=user, place=_HOME)
    train = Actor(f"{seed}/train", tenant_id, user=user, place=_NEAR)
    end = start + timedelta(minutes=5)
    events = (
        home.event(start, "user_interaction", "login_succeeded"),
        train.event(end, "user_interaction", "login_succeeded"),
    )
    return Episode("commuter", RULE, tenant_id, f"user:{user}", start, end, events, malicious=False)
