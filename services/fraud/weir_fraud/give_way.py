"""The stream works in the gaps between those who wait for an answer.

Both are on one loop. A batch of the stream is as much work as a dozen calls, in steps; a call that came meanwhile had a step of the stream before each of its
own. So the stream waits between its steps while calls are inside, but not for ever: it may wait for a share of the time, else it would not come
on while there is always somebody. And a call may wait for it in turn: for the commit of a decision on the same payment.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from weir_common.telemetry import meter

from weir_fraud.admission import Admission

SHARE: Final = 0.3
"""Of all time; the stream waits no larger one."""
MOST_SECONDS: Final = 0.1
"""That it waits without a break; what it did not wait is saved up to so much."""


class GiveWay:
    """`step` between pieces of work that nobody waits for."""

    def __init__(self, admission: Admission, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._admission = admission
        self._monotonic = monotonic
        self._allowed = MOST_SECONDS
        self._at = monotonic()
        self._waited = meter().create_counter(
            "weir.fraud.stream.waited", unit="s", description="Time that the stream waited for calls to be answered"
        )

    async def step(self) -> None:
        """Until nobody's call is inside, or the time for it is used up."""
        if not self._admission.inside:
            return
        began = self._monotonic()
        self._allowed = min(MOST_SECONDS, self._allowed + SHARE * (began - self._at))
        self._at = began
        if self._allowed <= 0:
            return
        try:
            async with asyncio.timeout(self._allowed):
                await self._admission.until_empty()
        except TimeoutError:
            pass
        waited = self._monotonic() - began
        self._allowed -= waited
        self._waited.add(waited)
