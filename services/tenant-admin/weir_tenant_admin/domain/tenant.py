"""Tenants: what they are called, and what their tier grants them.

Money is in millionths of the platform's currency, so that sums are exact.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

TENANT_ID_SHAPE = re.compile(r"[a-z0-9][a-z0-9_-]{1,62}")
"""Lower case, so that an id can become a Kubernetes name; it starts with a letter or digit, so ``__platform__`` is none."""


class Tier(StrEnum):
    """What the tenant pays for."""

    TRIAL = "trial"
    STANDARD = "standard"
    PREMIUM = "premium"
    ENTERPRISE = "enterprise"


class Isolation(StrEnum):
    """How far the tenant's stack is shared (tenancy design, section a)."""

    POOL = "pool"
    BRIDGE = "bridge"
    SILO = "silo"


class Vertical(StrEnum):
    """The trade of the shop, as in ``industry_vertical`` of the event schema."""

    FASHION = "fashion"
    ELECTRONICS = "electronics"
    GROCERY = "grocery"
    SERVICES = "services"


class Status(StrEnum):
    """A suspended tenant's keys are refused everywhere."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class PlanLimits:
    """What a tier grants."""

    isolation: Isolation
    max_replicas: int
    """Of one service's consumers."""
    max_cost_per_hour: int
    """Of the replicas of one service, in millionths."""
    quota_events_per_second: float


PLANS: Mapping[Tier, PlanLimits] = {
    Tier.TRIAL: PlanLimits(Isolation.POOL, 1, 50_000, 200.0),
    Tier.STANDARD: PlanLimits(Isolation.POOL, 2, 100_000, 2_000.0),
    Tier.PREMIUM: PlanLimits(Isolation.BRIDGE, 4, 250_000, 5_000.0),
    Tier.ENTERPRISE: PlanLimits(Isolation.SILO, 12, 1_000_000, 20_000.0),
}


def is_tenant_id(text: str) -> bool:
    """Whether ``text`` may name a tenant."""
    return TENANT_ID_SHAPE.fullmatch(text) is not None
