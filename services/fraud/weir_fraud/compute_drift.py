"""Hold what was decided lately against what each model was trained on, tenant by tenant, off the way of every answer.

One instance at a time: whoever moves the time of the last run computes the next. What it reads is bounded, a page at a time and with a pause after
each; it reads the stored decisions, so it costs the payments nothing but the database's spare time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import structlog
from weir_common.errors import RetryError
from weir_common.ids import EventId, TenantId

from weir_fraud.domain.drift import Calibration, DriftCounts, drift_report, sum_of
from weir_fraud.domain.model import ModelCard
from weir_fraud.drift_metrics import DriftMetrics
from weir_fraud.ports import DriftStore, ModelsInForce
from weir_fraud.score_shadow import ALL_TENANTS

log = structlog.get_logger(__name__)

_LOOK_SECONDS: Final = 30.0
_TENANT_SECONDS: Final = 60.0
_PAGE: Final = 250
_PAUSE_SECONDS: Final = 0.02
_LAST: Final = EventId("ffffffff-ffff-ffff-ffff-ffffffffffff")


class DriftLimits(NamedTuple):
    """What is looked at."""

    every: timedelta
    window: timedelta
    least_decisions: int
    most_decisions: int
    """Of a tenant, the newest of the window."""
    label_delay: timedelta
    calibration: timedelta
    """How long the period is that ends `label_delay` ago."""
    least_frauds: int


class _Looked(NamedTuple):
    card: ModelCard
    counts: DriftCounts | None
    decisions: int
    calibration: Calibration


class ComputeDrift:
    """The use case and its background task."""

    def __init__(
        self,
        store: DriftStore,
        models: ModelsInForce,
        tenants: Callable[[], Sequence[TenantId]],
        metrics: DriftMetrics,
        limits: DriftLimits,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._models = models
        self._tenants = tenants
        self._metrics = metrics
        self._limits = limits
        self._clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop."""
        while not stop.is_set():
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    await stop.wait()
            except TimeoutError:
                pass
            try:
                if not stop.is_set() and await self._store.claim(self._clock(), self._limits.every):
                    await self(stop)
            except (RetryError, TimeoutError) as error:
                log.warning("drift was not computed", reason=str(error) or type(error).__name__)

    async def __call__(self, stop: asyncio.Event | None = None) -> None:
        """Once, of all tenants. What cannot be read of one keeps the others' from nothing."""
        now = self._clock()
        together: list[_Looked] = []
        champion = (await self._models([ALL_TENANTS]))[ALL_TENANTS].card
        for tenant_id in self._tenants():
            if stop is not None and stop.is_set():
                return
            try:
                async with asyncio.timeout(_TENANT_SECONDS):
                    looked = await self._look(tenant_id, now)
                    if looked.decisions or looked.calibration.decisions:
                        await self._tell(tenant_id, looked, now)
            except (RetryError, TimeoutError) as error:
                log.warning(
                    "drift of a tenant was not computed", tenant=tenant_id, reason=str(error) or type(error).__name__
                )
                continue
            if looked.card.version == champion.version:
                together.append(looked)
        if together:
            counts = None if champion.baselines is None else DriftCounts(champion.baselines, champion.features)
            for looked in together:
                if counts is not None and looked.counts is not None:
                    counts.merge(looked.counts)
            decisions = sum(looked.decisions for looked in together)
            whole = _Looked(champion, counts, decisions, sum_of([looked.calibration for looked in together]))
            await self._tell(ALL_TENANTS, whole, now)

    async def _look(self, tenant_id: TenantId, now: datetime) -> _Looked:
        card = (await self._models([tenant_id]))[tenant_id].card
        counts = None if card.baselines is None else DriftCounts(card.baselines, card.features)
        decisions, read = 0, 0
        before: tuple[datetime, EventId] | None = (now, _LAST)
        while before is not None and read < self._limits.most_decisions:
            page = await self._store.snapshots(tenant_id, card.version, now - self._limits.window, before, _PAGE)
            decisions += len(page.rows)
            read += _PAGE
            before = page.last
            if counts is not None:
                await asyncio.to_thread(_count, counts, page.rows)
            await asyncio.sleep(_PAUSE_SECONDS)
        until = now - self._limits.label_delay
        matured = await self._store.matured(tenant_id, card.version, until - self._limits.calibration, until)
        return _Looked(card, counts, decisions, matured)

    async def _tell(self, tenant_id: TenantId, looked: _Looked, now: datetime) -> None:
        report = drift_report(
            looked.card.version,
            looked.counts,
            looked.calibration,
            decisions=looked.decisions,
            since=now - self._limits.window,
            computed_at=now,
            least_decisions=self._limits.least_decisions,
            least_frauds=self._limits.least_frauds,
        )
        await self._store.save(tenant_id, report)
        self._metrics.told(tenant_id, report, of_all=tenant_id == ALL_TENANTS)


def _count(counts: DriftCounts, rows: Sequence[tuple[Sequence[float], float]]) -> None:
    for values, score in rows:
        counts.add(values, score)
