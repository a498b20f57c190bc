"""Ask every component for real, all at once, each with its deadline."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from weir_tenant_admin.domain.health import ComponentHealth, Overall, State, overall

log = structlog.get_logger(__name__)

Detail = dict[str, str | int | float | bool | list[str]]

_CREDENTIALS_IN_URL = re.compile(r"//[^/@\s]*@")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a probe found. A probe that finds nothing raises; it does not invent a state."""

    state: State = State.UP
    detail: Detail = field(default_factory=dict)


class Probe(Protocol):
    """Asks one component. ``essential``: without it the mesh cannot serve."""

    name: str
    kind: str
    essential: bool

    async def ask(self) -> Answer:
        """Raises whatever the client raises when the component does not answer."""
        ...


@dataclass(frozen=True, slots=True)
class Health:
    """The whole answer."""

    state: Overall
    components: Sequence[ComponentHealth]
    seconds: float


class HealthCheck:
    """Runs the probes in parallel, so the slowest one decides how long it takes."""

    def __init__(self, probes: Sequence[Probe], deadline_seconds: float) -> None:
        self._probes = tuple(probes)
        self._deadline_seconds = deadline_seconds

    async def __call__(self) -> Health:
        """Never raises for a component: what it raised is its state."""
        started = time.perf_counter()
        components = await asyncio.gather(*(self._ask(probe) for probe in self._probes))
        return Health(overall(components), components, time.perf_counter() - started)

    async def _ask(self, probe: Probe) -> ComponentHealth:
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._deadline_seconds):
                answer = await probe.ask()
        except Exception as error:  # noqa: BLE001 - whatever a client raises is the finding; cancellation is no Exception
            log.warning("component does not answer", component=probe.name, error=repr(error))
            return ComponentHealth(
                probe.name,
                probe.kind,
                State.DOWN,
                probe.essential,
                time.perf_counter() - started,
                {"error": _describe(error, self._deadline_seconds)},
            )
        latency = None if answer.state is State.NOT_CONFIGURED else time.perf_counter() - started
        return ComponentHealth(probe.name, probe.kind, answer.state, probe.essential, latency, answer.detail)


def _describe(error: Exception, deadline_seconds: float) -> str:
    """A few words for operators. Addresses may carry passwords, so anything before an ``@`` in one is cut out."""
    if isinstance(error, TimeoutError):
        return f"no answer within {deadline_seconds:g} s"
    first_line = (str(error).splitlines() or [""])[0][:200]
    return f"{type(error).__name__}: {_CREDENTIALS_IN_URL.sub('//', first_line)}"
