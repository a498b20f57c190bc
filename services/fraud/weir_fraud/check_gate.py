"""Gather the evidence for a version and hold it against the gate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from weir_common.ids import TenantId
from weir_common.problems import NotFound

from weir_fraud.domain.model_stage import Stage
from weir_fraud.domain.outcome import Outcome
from weir_fraud.domain.promotion_gate import Evidence, Gate, GateBounds, gate, of_shadow, shadow_time
from weir_fraud.ports import Backtests, ModelRegistry, ShadowTallies
from weir_fraud.score_shadow import ALL_TENANTS

SHADOW_DAYS: Final = 30
"""Comparisons of longer ago say little of the payments of today."""
_MOVES: Final = 1_000


class CheckGate:
    """The use case. Reads only."""

    def __init__(
        self,
        registry: ModelRegistry,
        tallies: ShadowTallies,
        backtests: Backtests,
        bounds: GateBounds,
        reviews_per_day_of_tenant: float,
        clock: Callable[[], datetime],
    ) -> None:
        self._registry = registry
        self._tallies = tallies
        self._backtests = backtests
        self._bounds = bounds
        self._of_tenant = bounds._replace(reviews_per_day=reviews_per_day_of_tenant, shadow_least_decisions=1)
        self._clock = clock

    async def __call__(self, version: str, to: Stage) -> Gate:
        """The gate as it stands. `NotFound`."""
        evidence, now = await self._evidence(version, ALL_TENANTS)
        return gate(evidence, to, self._bounds, now)

    async def of_tenant(self, version: str, tenant_id: TenantId) -> Gate:
        """What the shadow's comparisons of one tenant say, against the bounds of one tenant. `NotFound`."""
        evidence, _ = await self._evidence(version, tenant_id)
        checks = of_shadow(evidence.shadowed, evidence.shadow_time, self._of_tenant)
        return Gate(version=version, stage=Stage.CHAMPION, champion=evidence.champion, checks=tuple(checks))

    async def _evidence(self, version: str, tenant_id: TenantId) -> tuple[Evidence, datetime]:
        if await self._registry.version(version) is None:
            raise NotFound(f"There is no version {version}.")
        now = self._clock()
        serving = await self._registry.serving(None)
        served = () if serving is None else serving.versions
        champion = next((one for one in served if one.stage is Stage.CHAMPION), None)
        if champion is None:
            return Evidence(version, None, None, {}, timedelta(0)), now
        since = max(champion.staged_at, now - timedelta(days=SHADOW_DAYS))
        shadowed: Counter[tuple[Outcome, Outcome]] = Counter()
        for tally, payments in (await self._tallies.of(tenant_id, version, since.date())).items():
            # Of a tenant with a model of its own it would say how the version does beside that one.
            if tally.against == champion.version:
                shadowed[tally.decided, tally.would] += payments
        moves = await self._registry.changes(version, _MOVES)
        return (
            Evidence(
                version,
                champion.version,
                await self._backtests.newest(version, champion.version),
                shadowed,
                shadow_time(moves, since, now),
            ),
            now,
        )
