"""How much of one tenant is at work at once: as much as there is room for while it is alone, a little in company.

There is one loop for everybody. A tenant that sends much would fill it with requests that are read, parsed and waiting, and each
other request would then take its steps between all of theirs. So its own requests wait for each other instead, before they are
read, and everybody else meets a few of them at most. Measured in bytes: what is small hardly holds anybody up, and must not be
told to wait because the machine is slow.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from weir_common.ids import TenantId
from weir_common.problems import Unavailable
from weir_common.telemetry import meter

from weir_ingest.company import Company
from weir_ingest.settings import BatchLimits

_COMPANY_SECONDS = 1.0
"""How long a tenant that sent something counts as company."""
_ALWAYS = 2
"""At once, however large: one can be computed while the other waits for the log."""
_LATELY_SECONDS = 2.0
"""What ended so long ago counts a third of what ends now. By time, not by the end: the one that ends after a stall would make a
pace of it, and turn away who only had to wait for the others that were done then."""
_WEIGHT_COMPRESSED = 10
"""An event shrinks to about a tenth."""


@dataclass(slots=True)
class _Line:
    ended_at: float
    """When one ended last; before that, when the first came."""
    at_work: int = 0
    bytes: int = 0
    waiting: deque[tuple[asyncio.Future[None], int]] = field(default_factory=deque)
    ends: float = 0.0
    seconds: float = 0.0
    """How many have ended lately, and in what time; both fade with ``_LATELY_SECONDS``."""

    def end(self, now: float) -> None:
        """One has ended."""
        passed = now - self.ended_at
        fades = math.exp(-passed / _LATELY_SECONDS) if self.seconds else 0.0
        self.ends = self.ends * fades + 1
        self.seconds = self.seconds * fades + passed
        self.ended_at = now

    def wait(self, now: float) -> float:
        """How long one that comes now will probably wait, in seconds.

        Until one has ended, the time since the first came stands for how long those take that are at work together. Later it does not:
        the loop may have stood still.
        """
        pace = self.seconds / self.ends if self.seconds else (now - self.ended_at) / max(1, self.at_work)
        return len(self.waiting) * pace


class TooManyWait(Unavailable):
    """More of the tenant's requests wait than get their turn in time."""


class TenantTurns:
    """``turn`` gives one; a tenant's requests get theirs in the order in which they came. ``clock`` gives seconds from anywhere."""

    def __init__(self, limits: BatchLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._lines: dict[TenantId, _Line] = {}
        self._company = Company(clock, _COMPANY_SECONDS)
        self._turned_away = meter().create_counter(
            "weir.ingest.turned.away",
            unit="{request}",
            description="Requests that waited too long behind their tenant's own",
        )

    @asynccontextmanager
    async def turn(self, tenant_id: TenantId, bytes_: int) -> AsyncIterator[None]:
        """``TooManyWait`` after ``turn_timeout_seconds``, or at once if it would come to that anyway."""
        await self._begin(tenant_id, bytes_)
        try:
            yield
        finally:
            self._end(tenant_id, bytes_)

    async def _begin(self, tenant_id: TenantId, bytes_: int) -> None:
        self._company.see(tenant_id)
        line = self._lines.get(tenant_id)
        if line is None:
            line = self._lines[tenant_id] = _Line(ended_at=self._clock())
        if not line.waiting and self._has_room(tenant_id, line, bytes_):
            line.at_work += 1
            line.bytes += bytes_
            return
        full = len(line.waiting) >= self._limits.max_waiting_of_a_tenant
        if full or line.wait(self._clock()) > self._limits.turn_timeout_seconds:
            raise self._turn_away(tenant_id)
        turn = asyncio.get_running_loop().create_future()
        line.waiting.append((turn, bytes_))
        try:
            async with asyncio.timeout(self._limits.turn_timeout_seconds):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._end(tenant_id, bytes_)  # it came in the same instant
            if isinstance(error, TimeoutError):
                raise self._turn_away(tenant_id) from error
            raise

    def _end(self, tenant_id: TenantId, bytes_: int) -> None:
        line = self._lines[tenant_id]
        line.at_work -= 1
        line.bytes -= bytes_
        line.end(self._clock())
        while line.waiting:
            turn, size = line.waiting[0]
            if turn.done():
                line.waiting.popleft()  # gave up
                continue
            if not self._has_room(tenant_id, line, size):
                return
            line.waiting.popleft()
            line.at_work += 1
            line.bytes += size
            turn.set_result(None)
        if not line.at_work:
            del self._lines[tenant_id]

    def _has_room(self, tenant_id: TenantId, line: _Line, bytes_: int) -> bool:
        if line.at_work < _ALWAYS:
            return True
        if line.at_work >= self._limits.max_batches_at_once:
            return False
        return line.bytes + bytes_ <= self._limits.max_bytes_in_company or not self._company.of(tenant_id)

    def _turn_away(self, tenant_id: TenantId) -> TooManyWait:
        self._turned_away.add(1, {"weir.tenant.id": tenant_id})
        return TooManyWait("More of your requests wait than can be done now; send this one again.", slug="overloaded")


def declared_bytes(content_length: str, content_encoding: str) -> int:
    """About how much work a body is, before it is read; 0 when it does not say."""
    size = int(content_length) if content_length.isascii() and content_length.isdigit() else 0
    return size * _WEIGHT_COMPRESSED if content_encoding.strip().lower() not in ("", "identity") else size
