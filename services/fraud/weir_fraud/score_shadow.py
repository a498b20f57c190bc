"""Score what was decided by the shadow, too, off the way of the answer, and count how the two compare.

Nothing waits for it: what the queue has no room for is dropped and counted. Counts of up to five seconds are lost when the process dies, since they
are a sample of what a shadow does and no record of payments.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import structlog
from weir_common.errors import RetryError
from weir_common.ids import EventId, TenantId

from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.decision import Decision, decide
from weir_fraud.domain.history import Snapshot
from weir_fraud.domain.payment import Payment
from weir_fraud.domain.policy_judgement import PolicyInForce
from weir_fraud.model_metrics import ModelMetrics
from weir_fraud.ports import Model, ShadowTallies, Tally

log = structlog.get_logger(__name__)

ALL_TENANTS: Final = TenantId("__platform__")
"""Whose cells are the sums of all."""
_BATCH: Final = 20
_FLUSH_SECONDS: Final = 5.0
_WRITE_SECONDS: Final = 5.0
_SEEN: Final = 20_000
_MAX_CELLS: Final = 50_000
"""Counted and not written yet: nine of a tenant and day at most, so this many only if nothing was written for long."""


class Decided(NamedTuple):
    """What a shadow needs to say what it would have done."""

    payment: Payment
    snapshot: Snapshot
    decision: Decision
    policy: PolicyInForce


class ScoreShadow:
    """`offer` what was decided; `run` does the rest."""

    def __init__(
        self,
        shadow: Callable[[], Model | None],
        tallies: ShadowTallies,
        catalogue: Catalogue,
        metrics: ModelMetrics,
        *,
        room: int,
    ) -> None:
        self._shadow = shadow
        self._tallies = tallies
        self._catalogue = catalogue
        self._metrics = metrics
        self._queue: asyncio.Queue[Decided] = asyncio.Queue(room)
        self._seen: OrderedDict[tuple[TenantId, EventId], None] = OrderedDict()
        self._counted: Counter[tuple[TenantId, Tally]] = Counter()

    def offer(self, decided: Sequence[Decided]) -> None:
        """Never waits and never raises. A payment that is asked for again is looked at once."""
        shadow = self._shadow()
        if shadow is None:
            return
        for one in decided:
            event = (one.decision.tenant_id, one.decision.event_id)
            # A tenant may have this very version as its own.
            if event in self._seen or one.decision.model_version == shadow.card.version:
                continue
            try:
                self._queue.put_nowait(one)
            except asyncio.QueueFull:
                self._metrics.dropped(1, "full")
                continue
            self._seen[event] = None
            if len(self._seen) > _SEEN:
                self._seen.popitem(last=False)

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop; what was counted is then written."""
        loop = asyncio.get_running_loop()
        flushed = loop.time()
        while not stop.is_set():
            try:
                async with asyncio.timeout(0.5):
                    first = await self._queue.get()
            except TimeoutError:
                pass
            else:
                await self._compare([first, *self._more()])
            if loop.time() - flushed >= _FLUSH_SECONDS:
                await self.flush()
                flushed = loop.time()
        await self.flush()

    def _more(self) -> list[Decided]:
        return [self._queue.get_nowait() for _ in range(min(_BATCH - 1, self._queue.qsize()))]

    async def _compare(self, batch: Sequence[Decided]) -> None:
        shadow = self._shadow()
        if shadow is None:
            return
        try:
            outcomes = await asyncio.to_thread(self._outcomes, shadow, batch)
        except Exception:  # a shadow that fails must not take the service with it; that it does is counted and told
            log.exception("the shadow failed", version=shadow.card.version)
            self._metrics.dropped(len(batch), "failed")
            return
        for one, tally in zip(batch, outcomes, strict=True):
            self._metrics.compared(tally.decided.value, tally.would.value)
            for tenant_id in (one.decision.tenant_id, ALL_TENANTS):
                self._counted[tenant_id, tally] += 1
        if len(self._counted) > _MAX_CELLS:
            self._metrics.dropped(self._counted.total() // 2, "failed")
            self._counted.clear()

    def _outcomes(self, shadow: Model, batch: Sequence[Decided]) -> list[Tally]:
        card = shadow.card
        vectors = [self._catalogue.vector(one.payment, one.snapshot, card.features) for one in batch]
        scores = shadow.score(vectors)
        return [
            Tally(
                version=card.version,
                against=one.decision.model_version,
                day=one.decision.decided_at.date(),
                decided=one.decision.outcome,
                # As if declines were never halted: how many it would decline is what is asked of it.
                would=decide(
                    one.payment,
                    vector,
                    scored,
                    card=card,
                    catalogue=self._catalogue,
                    decided_at=one.decision.decided_at,
                    latency=one.decision.latency,
                    source=one.decision.source,
                    policy=one.policy,
                ).outcome,
            )
            for one, vector, scored in zip(batch, vectors, scores, strict=True)
        ]

    async def flush(self) -> None:
        """Write what was counted; what cannot be written now is kept for the next time."""
        if not self._counted:
            return
        counted, self._counted = self._counted, Counter()
        try:
            async with asyncio.timeout(_WRITE_SECONDS):
                await self._tallies.add(counted)
        except (RetryError, TimeoutError) as error:
            self._counted.update(counted)
            log.warning("comparisons with the shadow were not written yet", reason=str(error) or type(error).__name__)
