"""When the mesh is well: everything serves, and every consumer has done what was there."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import asyncpg
from aiokafka.errors import KafkaError
from weir_common.kafka.topics import AUDIT, DECISIONS, EVENTS, LEDGER, REQUESTS
from weir_local.mesh import Mesh

from weir_bench.chaos.client import Diary
from weir_bench.chaos.servers import not_serving
from weir_bench.chaos.stores import behind, ends_of

TOPICS = (EVENTS, DECISIONS, AUDIT, REQUESTS, LEDGER)
_POLL_SECONDS = 0.25


class DidNotRecover(Exception):
    """Not well within the time; the text says what is not."""


async def accepting_again(diaries: list[Diary], since: float, seconds: float) -> float:
    """Seconds from ``since`` to the answer of the first request begun after it that was acknowledged."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answers = [answered for diary in diaries for began, answered in diary.acknowledged_at if began >= since]
        if answers:
            return max(0.0, min(answers) - since)
        await asyncio.sleep(0.05)
    raise DidNotRecover(f"nothing was accepted within {seconds:.0f} s")


async def caught_up(mesh: Mesh, seconds: float) -> None:
    """Until every consumer and outbox has done what was on the log and in the outboxes at the call."""
    since, ends = datetime.now(UTC), None
    deadline = time.monotonic() + seconds
    words = ["nothing was read"]
    while time.monotonic() < deadline:
        try:
            if ends is None:
                ends = await ends_of(mesh, TOPICS)
            words = await behind(mesh, ends, since)
        except (KafkaError, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            words = [repr(error)]
        if not words:
            return
        await asyncio.sleep(_POLL_SECONDS)
    raise DidNotRecover(f"not caught up within {seconds:.0f} s: {'; '.join(words[:5])}")


async def well(mesh: Mesh, seconds: float) -> None:
    """Until every component serves and the consumers have caught up."""
    deadline = time.monotonic() + seconds
    while True:
        words = await not_serving(mesh)
        if not words:
            break
        if time.monotonic() > deadline:
            raise DidNotRecover(f"not serving within {seconds:.0f} s: {'; '.join(words)}")
        await asyncio.sleep(_POLL_SECONDS)
    await caught_up(mesh, max(1.0, deadline - time.monotonic()))
