"""Promote, roll back, and give a tenant another model than the champion: what operators do with the registry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import msgspec
from weir_common.audit import PLATFORM, AuditEntry
from weir_common.auth import Action, Principal
from weir_common.ids import TenantId
from weir_common.problems import Conflict, FieldError, Forbidden, InvalidRequest, NotFound

from weir_fraud.check_gate import CheckGate
from weir_fraud.domain.model_stage import SERVED, ModelVersion, Move, Override, Stage
from weir_fraud.domain.promotion_gate import GATED, Gate, GateRecord
from weir_fraud.errors import ModelRefused
from weir_fraud.load_models import SERVICE, LoadModel
from weir_fraud.model_metrics import ModelMetrics
from weir_fraud.ports import ModelRegistry, MovesAudited
from weir_fraud.read_policy import holds_personal_data

ACTION: Final = str(Action.FRAUD_MODELS_MANAGE)


class ManageModels:
    """The use cases. A version is loaded here before it is put in force, so that one which nobody could use is refused to who asks."""

    def __init__(
        self,
        registry: ModelRegistry,
        load: LoadModel,
        metrics: ModelMetrics,
        clock: Callable[[], datetime],
        check: CheckGate,
    ) -> None:
        self._registry = registry
        self._load = load
        self._metrics = metrics
        self._clock = clock
        self._check = check

    async def promote(
        self, caller: Principal, version: str, to: Stage, note: str, override_gate: str | None = None
    ) -> ModelVersion:
        """Move a version to a stage. `NotFound`, `Conflict`: there is no such move, the model is refused, or it does not pass the gate.

        `override_gate`: why it shall be moved although it does not pass; `Forbidden` without the permission for that.
        """
        _look_at_note(note)
        if override_gate is not None:
            _look_at_note(override_gate, "/override_gate")
            if not caller.may(Action.FRAUD_MODELS_OVERRIDE_GATE):
                raise Forbidden("The credential may not override the gate.")
        found = await self._found(version)
        if to in SERVED:
            await self._try(found)
        record = None
        if to in GATED:
            record = _passed(await self._check(version, to), override_gate, caller)
        what = "promote" if record is None or record.override is None else "promote_over_gate"
        return await self._registry.promote(
            version, to, caller.subject, note, self._clock(), _moved(caller, what, version), record
        )

    async def roll_back(self, caller: Principal, note: str) -> ModelVersion:
        """Make the champion before the champion. `Conflict` if there was none or it is refused."""
        _look_at_note(note)
        previous = await self._registry.previous()
        if previous is not None:
            await self._try(await self._found(previous))
        return await self._registry.roll_back(caller.subject, note, self._clock(), _moved(caller, "rollback"))

    async def give(self, caller: Principal, tenant_id: TenantId, version: str, note: str) -> Override:
        """Let a challenger, or the present champion for good, decide for a tenant. `NotFound`, `Conflict`."""
        _look_at_note(note)
        await self._found(version)
        entry = _entry(caller, tenant_id, version, {"what": "override", "version": version})
        return await self._registry.set_override(tenant_id, version, caller.subject, note, self._clock(), entry)

    async def take_back(self, caller: Principal, tenant_id: TenantId) -> None:
        """Let the champion decide for a tenant again. `NotFound` if it does."""
        entry = _entry(caller, tenant_id, "champion", {"what": "override_removed"})
        if not await self._registry.remove_override(tenant_id, entry):
            raise NotFound("The champion decides for this tenant.")

    async def _found(self, version: str) -> ModelVersion:
        found = await self._registry.version(version)
        if found is None:
            raise NotFound(f"There is no version {version}.")
        return found

    async def _try(self, version: ModelVersion) -> None:
        try:
            await self._load(version)
        except ModelRefused as error:
            self._metrics.refused(error.reason)
            raise Conflict(
                f"{version.version} is refused: {error}", slug="model-refused", extra={"reason": error.reason.value}
            ) from error


def _moved(caller: Principal, what: str, version: str | None = None) -> MovesAudited:
    """One entry for each version that moves, the one that was asked for last."""

    def entries(moves: Sequence[Move]) -> Sequence[AuditEntry]:
        return [
            _entry(
                caller,
                PLATFORM,
                move.version,
                {"what": what, "from": move.before.value, "to": move.after.value, "asked": version or "previous"},
            )
            for move in moves
        ]

    return entries


def _entry(caller: Principal, tenant_id: TenantId, version: str, detail: dict[str, str]) -> AuditEntry:
    return AuditEntry(
        tenant_id=tenant_id,
        actor=caller.subject,
        actor_kind=caller.kind,
        action=ACTION,
        object_ref=f"fraud-model:{version}",
        outcome="success",
        detail=detail,
        service=SERVICE,
    )


def _passed(gate: Gate, override: str | None, caller: Principal) -> GateRecord:
    """What is kept of it. `Conflict` with the checks that failed. An override is kept only where there is something to override."""
    if not gate.passed and override is None:
        raise Conflict(
            f"{gate.version} does not pass the gate to {gate.stage.value}: {', '.join(check.name for check in gate.failed)}.",
            slug="gate-not-passed",
            extra={"failed": [msgspec.to_builtins(check) for check in gate.failed], "champion": gate.champion},
        )
    return GateRecord(
        champion=gate.champion,
        checks=gate.checks,
        backtest=gate.backtest,
        override=None if gate.passed else override,
        overridden_by=None if gate.passed else caller.subject,
    )


def _look_at_note(note: str, pointer: str = "/note") -> None:
    if holds_personal_data(note):
        raise InvalidRequest(
            "The note is kept for ever.",
            errors=[FieldError(pointer, "no e-mail address, telephone number, card or IP address", "one")],
        )
