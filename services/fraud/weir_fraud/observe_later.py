"""Put the payments that were decided while the histories were away into them, once they are back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog
from opentelemetry.metrics import CallbackOptions, Observation
from weir_common.ids import TenantId
from weir_common.telemetry import meter

from weir_fraud.domain.label import known_of
from weir_fraud.domain.payment import Observed
from weir_fraud.ports import FeatureStore, LabelStore, Unobserved, UnobservedPayments
from weir_fraud.put_off import PutOff

log = structlog.get_logger(__name__)

LOOK_SECONDS: Final = 1.0
DEADLINE_SECONDS: Final = 10.0
BATCH: Final = 200


class ObserveLater:
    """A late payment lands at its own time (`domain/history.py`), so that who waits here may be overtaken by new ones."""

    def __init__(self, waiting: UnobservedPayments, features: FeatureStore, labels: LabelStore) -> None:
        self._store = waiting
        self._features = features
        self._labels = labels
        self._waiting = 0
        meter().create_observable_gauge(
            "weir.fraud.unobserved",
            callbacks=[self._observe],
            unit="{payment}",
            description="Decided payments that the histories do not have yet, of all tenants, when it was last looked",
        )
        self._restored = meter().create_counter(
            "weir.fraud.features.restored",
            unit="{payment}",
            description="Payments that came into the histories after their decision",
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Look once a second; what fails stays, and is tried again."""
        later = PutOff(
            self.apply,
            lambda reason: log.warning("payments wait for the histories", waiting=self._waiting, reason=reason),
            look_seconds=LOOK_SECONDS,
            deadline_seconds=DEADLINE_SECONDS,
        )
        await later.run(stop)

    async def apply(self) -> bool:
        """One batch, the oldest first; whether there may be more."""
        self._waiting = await self._store.waiting()
        if not self._waiting:
            return False
        done = await self._store.take(BATCH, self._put_back)
        self._waiting -= min(done, self._waiting)
        if done:
            self._restored.add(done)
            log.info("payments came into the histories after their decision", payments=done, waiting=self._waiting)
        return done == BATCH

    async def _put_back(self, tenant_id: TenantId, kept: Sequence[Unobserved]) -> None:
        await self._features.restore(tenant_id, kept)
        # After they are there: a label that comes from now on finds them by itself.
        known = await self._labels.labels(tenant_id, [one.event_id for one in kept])
        for one in kept:
            labels = known.get(one.event_id)
            if labels:
                observed = Observed(one.observation.at, one.observation.id, one.digests)
                await self._features.label(tenant_id, observed, known_of(labels))

    def _observe(self, _: CallbackOptions) -> list[Observation]:
        return [Observation(self._waiting)]
