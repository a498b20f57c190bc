"""How far the archive is, for whoever asks what became of an event."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

import structlog

log = structlog.get_logger(__name__)

FRESH_SECONDS: Final = 1.0
"""A commit comes every twenty seconds: no need to open the table for everybody who asks."""
PATIENCE_SECONDS: Final = 0.3
"""Opening the table parses its whole metadata: 0.1 s, and a second beside a busy consumer, which is all the time that the asking side has."""


class LakePositions:
    """See ``weir_common.applied.Positions``: where the newest snapshot of one table stands.

    One reading at a time, for all who ask. Whoever finds it slow gets the positions of the one before: they only grow, so an archived
    event may be told as not archived for a moment, never the other way round.
    """

    def __init__(self, table: str, topic: str, read_table: Callable[[], Mapping[int, int]]) -> None:
        """`read_table` gives partition → next offset; it may block."""
        self._consumer = f"analytics.lake.{table}"
        self._topic = topic
        self._read_table = read_table
        self._read_at = -float("inf")
        self._offsets: Mapping[int, int] | None = None
        self._reading: asyncio.Task[None] | None = None

    async def next_offsets(self, topic: str, partition: int) -> Mapping[str, int]:
        """``RetryError`` when the table cannot be read."""
        if topic != self._topic:
            return {}
        if time.monotonic() - self._read_at > FRESH_SECONDS:
            reading = self._reading or self._begin()
            # Before the first reading there is nothing else to tell.
            await asyncio.wait([reading], timeout=PATIENCE_SECONDS if self._offsets is not None else None)
            if reading.done():
                reading.result()
        offsets = self._offsets or {}
        return {self._consumer: offsets.get(partition, 0)}

    def _begin(self) -> asyncio.Task[None]:
        self._reading = asyncio.create_task(self._read(), name=f"{self._consumer} positions")
        self._reading.add_done_callback(self._ended)
        return self._reading

    async def _read(self) -> None:
        began = time.monotonic()
        self._offsets = await asyncio.to_thread(self._read_table)
        self._read_at = began

    def _ended(self, reading: asyncio.Task[None]) -> None:
        self._reading = None
        # Nobody may have waited for it.
        if not reading.cancelled() and (error := reading.exception()) is not None:
            log.warning("the archive does not say how far it is", consumer=self._consumer, error=repr(error))
