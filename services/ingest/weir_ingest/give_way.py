"""A tenant that sends more than its rate works in the gaps that the others leave.

Its quota lets it use at once what it saved up. Each of those events is as much work as anybody's, and on one loop and the same
processors a tenant within its rate would wait for it. So whoever is above its rate, by what came to this instance, gives way: in
company it goes on at a pace, and between its steps it waits for the others at work. Nothing is refused for that, and no request is
kept longer than ``_LONGEST_SECONDS`` in all: what it saved up stays of use when there is always somebody.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from weir_common.ids import TenantId
from weir_common.telemetry import meter

from weir_ingest.company import Company

_ABOVE_SECONDS = 1.0
"""Above its rate is who is that much of it ahead: a batch a second is within it."""
_COMPANY_SECONDS = 10.0
"""How long a tenant that sent something counts as company: as long as quotas save up."""
_PACE = 2.0
"""Times its rate, in company: what was saved up in ten seconds is used in ten."""
_LONGEST_SECONDS = 0.25
"""What a request waits for others, all in all."""
_STEPS_ALONE = 8
"""Without company it goes on for so many steps: each turn of the loop costs as much as an eighth of the event that was worked on before it."""
_MAX_TENANTS = 10_000


@dataclass(slots=True)
class _Account:
    ahead: float = 0.0
    """Events taken beyond what its rate brought since."""
    at: float = 0.0
    free_at: float = 0.0
    """When the next batch is due at the tenant's pace."""


class GiveWay:
    """``of`` a batch. ``rate_of``: the tenant's events per second; ``clock`` gives seconds from anywhere."""

    def __init__(self, rate_of: Callable[[TenantId], float], clock: Callable[[], float] = time.monotonic) -> None:
        self._rate_of = rate_of
        self._clock = clock
        self._company = Company(clock, _COMPANY_SECONDS)
        self._accounts: OrderedDict[TenantId, _Account] = OrderedDict()
        self._at_work: Counter[TenantId] = Counter()
        self._left = asyncio.Event()
        """Set for an instant whenever a batch is done."""
        self._waited = meter().create_histogram(
            "weir.ingest.way.duration",
            unit="s",
            description="How long a tenant above its rate gave way to others, a batch",
        )

    def of(self, tenant_id: TenantId, events: int) -> Way:
        """For a batch of so many events, which counts from now on."""
        self._company.see(tenant_id)
        account = self._accounts.get(tenant_id)
        if account is None:
            account = self._accounts[tenant_id] = _Account(at=self._clock())
            if len(self._accounts) > _MAX_TENANTS:
                self._accounts.popitem(last=False)
        self._accounts.move_to_end(tenant_id)
        account.ahead = self._ahead(tenant_id, account) + events
        account.at = self._clock()
        return Way(self, tenant_id, events, is_above=self.is_above(tenant_id))

    def is_above(self, tenant_id: TenantId) -> bool:
        """Whether it sends more than its rate."""
        account = self._accounts.get(tenant_id)
        return account is not None and self._ahead(tenant_id, account) > self._rate_of(tenant_id) * _ABOVE_SECONDS

    def has_company(self, tenant_id: TenantId) -> bool:
        """Whether anybody else sends, too."""
        return self._company.of(tenant_id)

    def due_in(self, tenant_id: TenantId, events: int, most: float) -> float:
        """Seconds until a batch may begin at the pace of a tenant above its rate: 0 without company; the next one is due after it."""
        account = self._accounts.get(tenant_id)
        if account is None or not self._company.of(tenant_id):
            return 0.0
        now = self._clock()
        begin = min(max(now, account.free_at), now + most)
        account.free_at = begin + events / (_PACE * self._rate_of(tenant_id))
        return begin - now

    @contextmanager
    def at_work(self, tenant_id: TenantId) -> Iterator[None]:
        """Others that are above their rate wait for it, if it is not itself."""
        self._at_work[tenant_id] += 1
        try:
            yield
        finally:
            self._at_work[tenant_id] -= 1
            if not self._at_work[tenant_id]:
                del self._at_work[tenant_id]
            self._left.set()
            self._left.clear()

    async def until_others_are_done(self, tenant_id: TenantId, most: float) -> None:
        """Until nobody within its rate is at work, at most so many seconds."""
        try:
            async with asyncio.timeout(most):
                while any(other != tenant_id and not self.is_above(other) for other in self._at_work):
                    await self._left.wait()
        except TimeoutError:
            return

    def record(self, tenant_id: TenantId, seconds: float) -> None:
        """What a batch waited."""
        self._waited.record(seconds, {"weir.tenant.id": tenant_id})

    def _ahead(self, tenant_id: TenantId, account: _Account) -> float:
        return max(0.0, account.ahead - self._rate_of(tenant_id) * (self._clock() - account.at))


class Way:
    """One batch's: `pace` before it takes anybody's place, then `step` between pieces of work `at_work`."""

    def __init__(self, ways: GiveWay, tenant_id: TenantId, events: int, *, is_above: bool) -> None:
        self._ways = ways
        self._tenant_id = tenant_id
        self._events = events
        self._left = _LONGEST_SECONDS if is_above else 0.0
        """Seconds that it may still wait; none for a tenant within its rate."""
        self._waited = 0.0
        self._steps = 0

    async def pace(self) -> None:
        """Wait until the batch is due."""
        if self._left <= 0:
            return
        seconds = self._ways.due_in(self._tenant_id, self._events, self._left)
        if seconds > 0:
            self._spend(seconds)
            await asyncio.sleep(seconds)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """From the first piece of work to the answer."""
        with self._ways.at_work(self._tenant_id):
            try:
                yield
            finally:
                if self._waited:
                    self._ways.record(self._tenant_id, self._waited)

    async def step(self) -> None:
        """The others of the loop have their turn; for a tenant above its rate they have all that they need."""
        self._steps += 1
        if self._steps % _STEPS_ALONE and not self._ways.has_company(self._tenant_id):
            return
        await asyncio.sleep(0)
        if self._left <= 0:
            return
        began = time.monotonic()
        await self._ways.until_others_are_done(self._tenant_id, self._left)
        self._spend(time.monotonic() - began)

    def _spend(self, seconds: float) -> None:
        self._left -= seconds
        self._waited += seconds
