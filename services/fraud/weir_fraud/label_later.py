"""Put labels that came before their payment on it, once it was decided or imported."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog
from opentelemetry.metrics import CallbackOptions, Observation
from weir_common.errors import RetryError
from weir_common.ids import EventId, TenantId
from weir_common.telemetry import meter

from weir_fraud.domain.aggregate import RETENTION_SECONDS
from weir_fraud.domain.label import known_of
from weir_fraud.label_metrics import LabelMetrics
from weir_fraud.ports import FeatureStore, LabelStore, WaitingLabels

log = structlog.get_logger(__name__)

LOOK_SECONDS: Final = 1.0
DEADLINE_SECONDS: Final = 10.0
BATCH: Final = 500
"""Looked for in a second, 10 ms of PostgreSQL's time, however many wait: a merchant may tell a year of chargebacks first."""
PATIENCE: Final = timedelta(seconds=RETENTION_SECONDS)
"""A payment that comes later than this after its label has it at once if it is imported, and else did not happen before it."""


class LabelLater:
    """Goes round those that wait, a batch at a time. What decides does nothing for it, and nothing has to be decided in one order.

    A payment whose decision or import is committed is in the histories: only then is its label put on, and forgotten here. So a label
    and a payment that come in the same moment, each unseen by the other, meet here.
    """

    def __init__(
        self,
        waiting: WaitingLabels,
        features: FeatureStore,
        labels: LabelStore,
        metrics: LabelMetrics,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = waiting
        self._features = features
        self._labels = labels
        self._metrics = metrics
        self._clock = clock
        self._after = 0
        self._waiting = 0
        meter().create_observable_gauge(
            "weir.fraud.labels.waiting",
            callbacks=[self._observe],
            unit="{label}",
            description="Labels whose payment was neither decided nor imported yet, of all tenants, when it was last looked",
        )

    async def run(self, stop: asyncio.Event) -> None:
        """A batch a second; what fails stays, and is tried again."""
        while not stop.is_set():
            try:
                async with asyncio.timeout(DEADLINE_SECONDS):
                    await self.apply()
            except (RetryError, TimeoutError) as error:
                log.warning("labels wait for their payments", waiting=self._waiting, reason=str(error) or "no answer")
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await stop.wait()
            except TimeoutError:
                continue

    async def apply(self) -> int:
        """The next ones; gives how many were put on a payment. At the end it begins again with the oldest."""
        if self._after == 0:
            self._waiting = await self._store.waiting()
        page = await self._store.page(self._after, BATCH)
        by_tenant: dict[TenantId, dict[EventId, list[int]]] = {}
        for one in page:
            by_tenant.setdefault(one.tenant_id, {}).setdefault(one.event_id, []).append(one.place)
        too_old = self._clock() - PATIENCE
        done = {one.place for one in page if one.since <= too_old}
        placed = 0
        for tenant_id, places in by_tenant.items():
            observed = await self._store.observed(tenant_id, list(places))
            known = await self._labels.labels(tenant_id, list(observed)) if observed else {}
            for event_id, where in observed.items():
                if event_id in known:
                    self._metrics.put([await self._features.label(tenant_id, where, known_of(known[event_id]))])
                done.update(places[event_id])
                placed += 1
        if done:
            await self._store.done(sorted(done))
            self._waiting -= min(self._waiting, len(done))
        self._after = page[-1].place if len(page) == BATCH else 0
        return placed

    def _observe(self, _: CallbackOptions) -> list[Observation]:
        return [Observation(self._waiting)]
