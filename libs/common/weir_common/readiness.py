"""What a service says of itself: alive (its loop turns) apart from ready (it can serve)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

Check = Callable[[], Awaitable[str | None]]
"""Returns None when good, else what is wrong in a few words. Must not raise for an expected outage."""


@dataclass
class Readiness:
    """Named checks; a service is ready when all pass and it is not draining."""

    checks: dict[str, Check] = field(default_factory=dict)
    draining: bool = False

    def add(self, name: str, check: Check) -> None:
        """Register a check; names are unique."""
        if name in self.checks:
            raise ValueError(f"readiness check {name!r} exists already")
        self.checks[name] = check

    async def faults(self) -> Mapping[str, str]:
        """What is wrong now, by check; empty when ready."""
        found: dict[str, str] = {"service": "draining"} if self.draining else {}
        for name, check in self.checks.items():
            fault = await check()
            if fault is not None:
                found[name] = fault
        return found
