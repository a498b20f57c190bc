"""The state of the mesh, from the states of its parts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class State(StrEnum):
    """Of one component."""

    UP = "up"
    DEGRADED = "degraded"
    """It answers, but says itself that it cannot do all."""
    DOWN = "down"
    NOT_CONFIGURED = "not_configured"


class Overall(StrEnum):
    """Of the mesh."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    """It serves, with less than it should."""
    UNHEALTHY = "unhealthy"
    """Something that every request needs is away."""


@dataclass(frozen=True, slots=True)
class ComponentHealth:
    """What one component answered. ``detail`` holds facts and never a secret."""

    name: str
    kind: str
    state: State
    essential: bool
    latency_seconds: float | None
    detail: dict[str, str | int | float | bool | list[str]] = field(default_factory=dict)


def overall(components: Iterable[ComponentHealth]) -> Overall:
    """Unhealthy when something essential is down, degraded when anything else is wrong; what is not configured does not count."""
    verdict = Overall.HEALTHY
    for component in components:
        if component.state is State.DOWN and component.essential:
            return Overall.UNHEALTHY
        if component.state in (State.DOWN, State.DEGRADED):
            verdict = Overall.DEGRADED
    return verdict
