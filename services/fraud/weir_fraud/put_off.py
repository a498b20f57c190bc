"""Work what was put off while there was no room, or while what it needs was away: a batch at a time, for as long as the process runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from weir_common.errors import RetryError


class PutOff:
    """A loop. `apply` works one batch and says whether to go on at once; `waits` is told why it could not be done now.

    What fails stays where it is, and is tried again at the next look. An error that no repetition mends ends the loop.
    """

    def __init__(
        self,
        apply: Callable[[], Awaitable[bool]],
        waits: Callable[[str], None],
        *,
        look_seconds: float,
        deadline_seconds: float,
        has_room: Callable[[], bool] = lambda: True,
    ) -> None:
        """`look_seconds`: between two looks, if there is no more to do at once. `deadline_seconds`: of a batch."""
        self._apply = apply
        self._waits = waits
        self._look_seconds = look_seconds
        self._deadline_seconds = deadline_seconds
        self._has_room = has_room

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`."""
        while not stop.is_set():
            if self._has_room() and await self._one():
                continue
            try:
                async with asyncio.timeout(self._look_seconds):
                    await stop.wait()
            except TimeoutError:
                continue

    async def _one(self) -> bool:
        try:
            async with asyncio.timeout(self._deadline_seconds):
                return await self._apply()
        except (RetryError, TimeoutError) as error:
            self._waits(str(error) or "no answer")
            return False
