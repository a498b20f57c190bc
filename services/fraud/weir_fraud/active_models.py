"""The models that decide, loaded and kept in this process; they follow the registry while payments are scored.

Once a second one row of the registry is read. If its revision is another, the champion, the challengers and the shadow that are not here yet are
loaded and warmed in a thread; only then does another champion decide. A payment under way keeps the model that it began with. What a
release cannot use is refused and counted, and the model before it goes on.

Which tenants have a challenger in place of the champion is read at the first payment of each after every revision, unless nobody
has one: then no payment waits for it.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

import structlog
from weir_common.errors import RetryError
from weir_common.ids import TenantId

from weir_fraud.domain.model_stage import ModelVersion, Stage
from weir_fraud.errors import ModelRefused, ModelRegistryUnavailable
from weir_fraud.load_models import LoadModel
from weir_fraud.model_metrics import ModelMetrics
from weir_fraud.ports import Model, ModelRegistry, Serving

log = structlog.get_logger(__name__)

LOOK_SECONDS: Final = 1.0
"""With the reading and the loading of a model this is well below the five seconds that are promised."""
REFUSED_SECONDS: Final = 60.0
"""A model that was refused is tried again after so long, or at once when its row was changed: files can be mended."""
STALE_SECONDS: Final = 15.0
MAX_TENANTS: Final = 10_000
_READ_SECONDS: Final = 2.0


class ActiveModels:
    """See `ModelsInForce`. Until the champion of the registry is loaded the model that came with the release decides."""

    def __init__(
        self,
        registry: ModelRegistry,
        load: LoadModel,
        own: Model,
        metrics: ModelMetrics,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._load = load
        self._metrics = metrics
        self._monotonic = monotonic
        self._own = own
        self._champion = own
        self._before: Model | None = None
        self._loaded: dict[str, Model] = {own.card.version: own}
        self._shadow: Model | None = None
        self._serving: Serving | None = None
        self._refused: dict[str, float] = {}
        self._looked_at = monotonic()
        self._overrides: OrderedDict[TenantId, str | None] = OrderedDict()
        self._anybody = False

    @property
    def champion(self) -> Model:
        """Decides for everybody who has no model of their own."""
        return self._champion

    @property
    def shadow(self) -> Model | None:
        """Scores beside them; it decides nothing."""
        return self._shadow

    async def __call__(self, tenants: Collection[TenantId]) -> Mapping[TenantId, Model]:
        if not self._anybody:
            return dict.fromkeys(tenants, self._champion)
        chosen = await self._chosen(tenants)
        answer: dict[TenantId, Model] = {}
        for tenant_id in tenants:
            version = chosen[tenant_id]
            model = self._champion if version is None else self._loaded.get(version)
            if model is None:
                self._metrics.unserved(tenant_id)
                model = self._champion
            answer[tenant_id] = model
        return answer

    def instead_of(self, broken: Model) -> Sequence[Model]:
        """The champion, in place of a tenant's own model; the one before it; the one that came with the release."""
        found: dict[int, Model] = {}
        for model in (self._champion, self._before, self._own):
            if model is not None and model is not broken:
                found.setdefault(id(model), model)
        return list(found.values())

    async def _chosen(self, tenants: Collection[TenantId]) -> Mapping[TenantId, str | None]:
        kept = self._overrides
        unread = [tenant_id for tenant_id in tenants if tenant_id not in kept]
        chosen = {tenant_id: kept[tenant_id] for tenant_id in tenants if tenant_id in kept}
        if unread:
            try:
                async with asyncio.timeout(_READ_SECONDS):
                    found = await self._registry.overrides(unread)
            except TimeoutError as error:
                raise ModelRegistryUnavailable(f"the overrides were not read in {_READ_SECONDS} s") from error
            for tenant_id in unread:
                chosen[tenant_id] = found.get(tenant_id)
                # Into what was there when the reading began: a later revision has begun anew, and nobody looks there any more.
                kept[tenant_id] = chosen[tenant_id]
            while len(kept) > MAX_TENANTS:
                kept.popitem(last=False)
        return chosen

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the registry. An outage changes nothing here; the next look comes a second later."""
        while not stop.is_set():
            try:
                await self.look()
            except (RetryError, TimeoutError) as error:
                log.warning("the registry of models was not read", reason=str(error) or type(error).__name__)
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await stop.wait()
            except TimeoutError:
                continue

    async def look(self) -> None:
        """Read the registry once, and load what is new."""
        known = None if self._serving is None else self._serving.revision
        async with asyncio.timeout(_READ_SECONDS):
            serving = await self._registry.serving(known)
        self._looked_at = self._monotonic()
        if serving is not None:
            self._begin(serving)
        if self._serving is not None:
            await self._load_missing(self._serving)

    async def health(self) -> str | None:
        """None while the registry is read: who does not read it may decide by a champion that was replaced."""
        age = self._monotonic() - self._looked_at
        return None if age < STALE_SECONDS else f"the registry of models was last read {age:.0f} s ago"

    def _begin(self, serving: Serving) -> None:
        before = {} if self._serving is None else {one.version: one for one in self._serving.versions}
        for one in serving.versions:
            if before.get(one.version) != one:
                self._refused.pop(one.version, None)
        self._serving = serving
        self._settle(serving)

    async def _load_missing(self, serving: Serving) -> None:
        for entry in serving.versions:
            if entry.version in self._loaded or self._monotonic() < self._refused.get(entry.version, 0.0):
                continue
            try:
                model = await self._load(entry)
            except ModelRefused as error:
                self._refused[entry.version] = self._monotonic() + REFUSED_SECONDS
                self._metrics.refused(error.reason)
                log.error(
                    "a model was refused",
                    version=entry.version,
                    stage=entry.stage,
                    reason=error.reason,
                    fault=str(error),
                )
                continue
            except RetryError as error:
                # The others are in the same storage: waiting for each would make this instance unready for want of what it can do without.
                log.warning("a model was not loaded yet", version=entry.version, reason=str(error))
                return
            self._metrics.loaded()
            self._loaded[entry.version] = model
            self._settle(serving)

    def _settle(self, serving: Serving) -> None:
        """Without an await: no payment sees a half of it."""
        by_stage: dict[Stage, ModelVersion] = {one.stage: one for one in serving.versions}
        champion = by_stage.get(Stage.CHAMPION)
        now = None if champion is None else self._loaded.get(champion.version)
        if now is not None and now is not self._champion:
            log.info("another model decides", version=now.card.version, before=self._champion.card.version)
            self._metrics.swapped()
            # Kept, whatever its stage is now: it decides should the new one fail.
            self._before, self._champion = self._champion, now
        shadow = by_stage.get(Stage.SHADOW)
        self._shadow = None if shadow is None else self._loaded.get(shadow.version)
        self._anybody = any(one.overrides for one in serving.versions)
        self._overrides = OrderedDict()
        served = {one.version for one in serving.versions} | {self._champion.card.version}
        self._loaded = {version: model for version, model in self._loaded.items() if version in served}
