"""Ending an aiokafka client: within a deadline, and without its own tasks' cancellation looking like ours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from aiokafka.errors import KafkaError

log = structlog.get_logger(__name__)

CLOSE_SECONDS = 5.0


async def close_client(close: Callable[[], Awaitable[object]], *, client: str, seconds: float = CLOSE_SECONDS) -> None:
    """Call ``close`` (``consumer.stop``, ``admin.close``); what it raises is logged, except when we are cancelled ourselves.

    aiokafka awaits tasks that it has just cancelled, for instance a fetch that backs off after a time-out, and lets their
    ``CancelledError`` out. Let through, it ends the calling task as if somebody had cancelled that.
    """
    try:
        async with asyncio.timeout(seconds):
            await close()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        log.warning("a Kafka client let out the cancellation of its own tasks", client=client)
    except (KafkaError, TimeoutError, OSError) as error:
        # The broker is away: it will notice by itself that we are gone.
        log.warning("a Kafka client did not stop in order", client=client, error=repr(error))
