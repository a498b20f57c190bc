"""What a service can do without is told and takes nothing away; what it cannot takes it out of service."""

from __future__ import annotations

import asyncio

import pytest
from weir_common.readiness import SOON_SECONDS, Readiness


class Part:
    def __init__(self) -> None:
        self.fault: str | None = None

    async def health(self) -> str | None:
        return self.fault


async def test_ready_is_not_whole() -> None:
    needed, spare = Part(), Part()
    readiness = Readiness()
    readiness.add("store", needed.health)
    readiness.add("cache", spare.health, serves_without=True)
    assert await readiness.faults() == {}
    assert readiness.is_ready({})

    spare.fault = "away"
    faults = await readiness.faults()
    assert faults == {"cache": "away"}
    assert readiness.is_ready(faults)

    needed.fault = "away, too"
    faults = await readiness.faults()
    assert faults == {"store": "away, too", "cache": "away"}
    assert not readiness.is_ready(faults)


async def test_who_drains_is_not_ready() -> None:
    readiness = Readiness(draining=True)
    faults = await readiness.faults()
    assert faults == {"service": "draining"}
    assert not readiness.is_ready(faults)


def test_names_are_unique() -> None:
    readiness = Readiness()
    readiness.add("store", Part().health)
    with pytest.raises(ValueError, match="store"):
        readiness.add("store", Part().health, serves_without=True)


async def test_what_is_served_without_does_not_keep_who_asks() -> None:
    async def still() -> str | None:
        await asyncio.Event().wait()
        return None

    readiness = Readiness()
    readiness.add("cache", still, serves_without=True)
    async with asyncio.timeout(SOON_SECONDS * 10):
        faults = await readiness.faults()
    assert faults == {"cache": f"no answer in {SOON_SECONDS} s"}
    assert readiness.is_ready(faults)
