"""Dry run: what a policy would have made of the tenant's newest decisions. Shoppers come first: it works in small steps, one at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from weir_common.ids import EventId, TenantId
from weir_common.problems import Unavailable

from weir_fraud.active_policies import in_force
from weir_fraud.domain.policy import Policy
from weir_fraud.domain.policy_trial import PolicyTrial
from weir_fraud.ports import Conditions, DecisionStore

MAX_DAYS: Final = 31
MAX_DECISIONS: Final = 20_000
DEADLINE_SECONDS: Final = 8.0
"""Below what clients and the gateway wait: a part of the answer, and that it is one, is worth more than none."""
PAGE: Final = 200
_A_STEP: Final = 5
"""Decisions, about a millisecond with fifty rules; then the others of the loop have their turn."""


@dataclass(frozen=True)
class Tried:
    """`complete`: all decisions of the time that was asked for were looked at; else the newest, as far as `trial.oldest`."""

    trial: PolicyTrial
    since: datetime
    until: datetime
    complete: bool

    @property
    def span(self) -> timedelta:
        """The time that the decisions which were looked at are of."""
        if self.complete or self.trial.oldest is None:
            return self.until - self.since
        return self.until - self.trial.oldest


class TryPolicy:
    """The use case. `Unavailable` while another dry run is under way in this process."""

    def __init__(
        self,
        decisions: DecisionStore,
        conditions: Conditions,
        clock: Callable[[], datetime],
        *,
        deadline_seconds: float = DEADLINE_SECONDS,
        page: int = PAGE,
    ) -> None:
        self._decisions = decisions
        self._conditions = conditions
        self._clock = clock
        self._deadline_seconds = deadline_seconds
        self._page = page
        self._running = False

    async def __call__(
        self, tenant_id: TenantId, version: int, policy: Policy, *, days: int, limit: int = MAX_DECISIONS
    ) -> Tried:
        if self._running:
            raise Unavailable(
                "Another dry run is under way; try again in some seconds.", slug="busy", retry_after_seconds=5
            )
        self._running = True
        try:
            compiled = await asyncio.to_thread(in_force, version, policy, self._conditions)
            return await self._run(tenant_id, PolicyTrial(compiled), timedelta(days=days), limit)
        finally:
            self._running = False

    async def _run(self, tenant_id: TenantId, trial: PolicyTrial, time_back: timedelta, limit: int) -> Tried:
        until = self._clock()
        since = until - time_back
        ends = time.monotonic() + self._deadline_seconds
        before: tuple[datetime, EventId] | None = None
        while trial.evaluated < limit and time.monotonic() < ends:
            asked = min(self._page, limit - trial.evaluated)
            page = await self._decisions.newest(tenant_id, since, before, asked)
            for place, (decision, of_model) in enumerate(page, 1):
                trial.add(decision, of_model)
                if place % _A_STEP == 0:
                    await asyncio.sleep(0)
            if len(page) < asked:
                return Tried(trial, since, until, True)
            last, _ = page[-1]
            before = (last.decided_at, last.event_id)
        return Tried(trial, since, until, False)
