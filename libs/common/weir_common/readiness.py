"""What a service says of itself: alive (its loop turns) apart from ready (it can serve) and from whole (nothing is wrong)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

Check = Callable[[], Awaitable[str | None]]
"""Returns None when good, else what is wrong in a few words. Must not raise for an expected outage."""

SOON_SECONDS: Final = 0.5
"""Who asks whether a service is ready waits for a second or three: what it serves without must not use them up."""


@dataclass
class Readiness:
    """Named checks; a service is ready when all pass, but for what it serves without, and it is not draining."""

    checks: dict[str, Check] = field(default_factory=dict)
    draining: bool = False
    served_without: set[str] = field(default_factory=set)

    def add(self, name: str, check: Check, *, serves_without: bool = False) -> None:
        """Register a check; names are unique. `serves_without`: its failure is told, and takes nobody's requests away."""
        if name in self.checks:
            raise ValueError(f"readiness check {name!r} exists already")
        self.checks[name] = check
        if serves_without:
            self.served_without.add(name)

    async def faults(self) -> Mapping[str, str]:
        """What is wrong now, by check."""
        found: dict[str, str] = {"service": "draining"} if self.draining else {}
        for name, check in self.checks.items():
            fault = await (_soon(check) if name in self.served_without else check())
            if fault is not None:
                found[name] = fault
        return found

    def is_ready(self, faults: Mapping[str, str]) -> bool:
        """Whether it serves with these faults."""
        return not faults.keys() - self.served_without


async def _soon(check: Check) -> str | None:
    try:
        async with asyncio.timeout(SOON_SECONDS):
            return await check()
    except TimeoutError:
        return f"no answer in {SOON_SECONDS} s"
