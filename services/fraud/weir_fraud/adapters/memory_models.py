"""The registry of models in memory, its files and tallies, for tests; and one model for everybody."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime

import msgspec
from weir_common.audit import AuditEntry
from weir_common.ids import TenantId
from weir_common.problems import Conflict, NotFound

from weir_fraud.domain.model import ModelCard
from weir_fraud.domain.model_stage import (
    MAY_DECIDE,
    SERVED,
    ModelChange,
    ModelVersion,
    Move,
    MoveRefused,
    Override,
    Stage,
    Standing,
    moves_of,
    refuse_another_champion,
    rollback_of,
)
from weir_fraud.domain.promotion_gate import Backtest, GateRecord, StoredBacktest
from weir_fraud.ports import Model, MovesAudited, Serving, Tally

_ORDER = (Stage.CHAMPION, Stage.CHALLENGER, Stage.SHADOW)


class OneModel:
    """See `ModelsInForce`."""

    def __init__(self, model: Model, *instead: Model) -> None:
        self._model = model
        self._instead = instead

    async def __call__(self, tenants: Collection[TenantId]) -> Mapping[TenantId, Model]:
        return dict.fromkeys(tenants, self._model)

    def instead_of(self, broken: Model) -> Sequence[Model]:
        return [model for model in self._instead if model is not broken]


class MemoryModels:
    """See `ModelRegistry`. `audited` is what the outbox would hold."""

    def __init__(self) -> None:
        self._versions: dict[str, ModelVersion] = {}
        self._changes: list[ModelChange] = []
        self._overrides: dict[TenantId, Override] = {}
        self._revision = 1
        self.audited: list[AuditEntry] = []

    async def register(
        self, card: ModelCard, folder: str, files: Mapping[str, str], by: str, at: datetime, audit: MovesAudited
    ) -> list[Move]:
        known = self._versions.get(card.version)
        if known is None:
            self._versions[card.version] = ModelVersion(
                card=card,
                stage=Stage.CANDIDATE,
                folder=folder,
                files=dict(files),
                overrides=0,
                registered_at=at,
                registered_by=by,
                staged_at=at,
                staged_by=by,
                first_served_at=None,
            )
        moves: list[Move] = []
        if not any(one.stage is Stage.CHAMPION for one in self._versions.values()):
            moves = moves_of(self._standing(), card.version, Stage.CHAMPION)
        if moves or known is None:
            self._move(moves, by, "", at, audit)
        return moves

    async def promote(
        self,
        version: str,
        to: Stage,
        by: str,
        note: str,
        at: datetime,
        audit: MovesAudited,
        gate: GateRecord | None = None,
    ) -> ModelVersion:
        if version not in self._versions:
            raise NotFound(f"There is no version {version}.")
        try:
            refuse_another_champion(self._standing(), gate)
            moves = moves_of(self._standing(), version, to)
        except MoveRefused as error:
            raise Conflict(str(error)) from error
        self._move(moves, by, note, at, audit, gate)
        return self._versions[version]

    async def roll_back(self, by: str, note: str, at: datetime, audit: MovesAudited) -> ModelVersion:
        previous = await self.previous()
        try:
            moves = rollback_of(self._standing(), previous, None if previous is None else self._before(previous))
        except MoveRefused as error:
            raise Conflict(str(error)) from error
        self._move(moves, by, note, at, audit)
        return self._versions[moves[-1].version]

    async def version(self, version: str) -> ModelVersion | None:
        return self._versions.get(version)

    async def previous(self) -> str | None:
        champion = next((one.version for one in self._versions.values() if one.stage is Stage.CHAMPION), None)
        return None if champion is None else self._before(champion)

    async def versions(self, before: tuple[datetime, str] | None, limit: int) -> list[ModelVersion]:
        found = sorted(self._versions.values(), key=lambda one: (one.registered_at, one.version), reverse=True)
        return [one for one in found if before is None or (one.registered_at, one.version) < before][:limit]

    async def changes(self, version: str, limit: int) -> list[ModelChange]:
        return [change for change in reversed(self._changes) if change.version == version][:limit]

    async def serving(self, known: int | None) -> Serving | None:
        if known == self._revision:
            return None
        served = [one for one in self._versions.values() if one.stage in SERVED]
        served.sort(key=lambda one: (_ORDER.index(one.stage), one.version))
        return Serving(self._revision, tuple(served))

    async def set_override(
        self, tenant_id: TenantId, version: str, by: str, note: str, at: datetime, audit: AuditEntry
    ) -> Override:
        found = self._versions.get(version)
        if found is None:
            raise NotFound(f"There is no version {version}.")
        if found.stage not in MAY_DECIDE:
            raise Conflict(f"{version} is {found.stage}: a challenger or the champion can decide for a tenant.")
        self._drop_override(tenant_id)
        made = Override(version=version, set_at=at, set_by=by, note=note)
        self._overrides[tenant_id] = made
        overrides = self._versions[version].overrides + 1
        self._change(version, overrides=overrides, first_served_at=found.first_served_at or at)
        self._revision += 1
        self.audited.append(audit)
        return made

    async def remove_override(self, tenant_id: TenantId, audit: AuditEntry) -> bool:
        if tenant_id not in self._overrides:
            return False
        self._drop_override(tenant_id)
        self._revision += 1
        self.audited.append(audit)
        return True

    async def override(self, tenant_id: TenantId) -> Override | None:
        return self._overrides.get(tenant_id)

    async def overrides(self, tenants: Collection[TenantId]) -> Mapping[TenantId, str]:
        return {tenant: self._overrides[tenant].version for tenant in tenants if tenant in self._overrides}

    def _drop_override(self, tenant_id: TenantId) -> None:
        before = self._overrides.pop(tenant_id, None)
        if before is not None:
            self._change(before.version, overrides=self._versions[before.version].overrides - 1)

    def _change(self, version: str, **members: object) -> None:
        self._versions[version] = msgspec.structs.replace(self._versions[version], **members)

    def _standing(self) -> dict[str, Standing]:
        return {
            version: Standing(one.stage, one.folder is not None, one.overrides)
            for version, one in self._versions.items()
        }

    def _before(self, champion: str) -> str | None:
        moves = [one for one in self._changes if one.version == champion and one.stage_after is Stage.CHAMPION]
        return moves[-1].previous if moves else None

    def _move(
        self,
        moves: Sequence[Move],
        by: str,
        note: str,
        at: datetime,
        audit: MovesAudited,
        gate: GateRecord | None = None,
    ) -> None:
        for move in moves:
            served = self._versions[move.version].first_served_at
            if move.after is Stage.CHAMPION:
                served = served or at
            self._change(move.version, stage=move.after, staged_at=at, staged_by=by, first_served_at=served)
            self._changes.append(
                ModelChange(
                    version=move.version,
                    stage_before=move.before,
                    stage_after=move.after,
                    previous=move.previous,
                    changed_at=at,
                    changed_by=by,
                    note=note,
                    gate=None
                    if gate is None or move is not moves[-1]
                    else msgspec.json.decode(msgspec.json.encode(gate)),
                )
            )
        self._revision += 1
        self.audited += audit(moves)


class MemoryBacktests:
    """See `Backtests`."""

    def __init__(self, registry: MemoryModels) -> None:
        self._registry = registry
        self._stored: list[tuple[str, StoredBacktest]] = []
        self.audited: list[AuditEntry] = []

    async def add(self, version: str, backtest: Backtest, by: str, at: datetime, audit: AuditEntry) -> StoredBacktest:
        if await self._registry.version(version) is None:
            raise NotFound(f"There is no version {version}.")
        stored = StoredBacktest(number=len(self._stored) + 1, backtest=backtest, recorded_at=at, recorded_by=by)
        self._stored.append((version, stored))
        self.audited.append(audit)
        return stored

    async def newest(self, version: str, champion: str) -> StoredBacktest | None:
        found = [one for of, one in self._stored if of == version and one.backtest.champion.version == champion]
        return found[-1] if found else None

    async def page(self, version: str, before: int | None, limit: int) -> list[StoredBacktest]:
        found = [one for of, one in self._stored if of == version and (before is None or one.number < before)]
        return found[::-1][:limit]


class MemoryTallies:
    """See `ShadowTallies`."""

    def __init__(self) -> None:
        self._payments: dict[tuple[TenantId, Tally], int] = {}

    async def add(self, counted: Mapping[tuple[TenantId, Tally], int]) -> None:
        for cell, payments in counted.items():
            self._payments[cell] = self._payments.get(cell, 0) + payments

    async def of(self, tenant_id: TenantId, version: str, since: date) -> Mapping[Tally, int]:
        return {
            tally: payments
            for (tenant, tally), payments in self._payments.items()
            if tenant == tenant_id and tally.version == version and tally.day >= since
        }
