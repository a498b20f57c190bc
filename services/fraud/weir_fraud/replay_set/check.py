"""Replay a set through the use case that `weir fraud replay` is, and say what is not as it was."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec
from weir_common.audit import AuditEntry
from weir_common.ids import TenantId

from weir_fraud.adapters.memory_decisions import MemoryDecisions
from weir_fraud.adapters.memory_policies import MemoryPolicies
from weir_fraud.adapters.onnx_model import CARD, OnnxModel
from weir_fraud.adapters.past_model import open_past_model
from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.model import ModelCard
from weir_fraud.domain.policy import Policy
from weir_fraud.domain.replay import Replay
from weir_fraud.errors import ModelRefused, ModelVersionMissing
from weir_fraud.ports import Conditions
from weir_fraud.replay_decision import ReplayDecision
from weir_fraud.replay_set.document import ReplaySet, decision_of

_BEGAN: Final = datetime(2026, 3, 1, tzinfo=UTC)


class KeptModels:
    """The models of a set: `ModelVersions`."""

    def __init__(self, models: Mapping[str, Mapping[str, bytes]], catalogue: Catalogue) -> None:
        self._models = models
        self._catalogue = catalogue
        self._opened: dict[str, OnnxModel] = {}

    async def get(self, version: str) -> OnnxModel:
        if version not in self._opened:
            files = self._models.get(version)
            if files is None:
                raise ModelVersionMissing(f"The set has no model {version}.")
            try:
                self._opened[version] = await asyncio.to_thread(open_past_model, files, self._catalogue)
            except ModelRefused as error:
                raise ModelVersionMissing(f"{version} made the decision, and cannot be loaded: {error}") from error
        return self._opened[version]


async def faults(whole: ReplaySet, catalogue: Catalogue, conditions: Conditions) -> dict[str, list[str]]:
    """By what a decision shows, what is not as it was; decisions that are again what they were are not in it.

    Looked at are the bytes that the decision gives as it is stored and those that it gives when it is made again, both against the
    expected ones.
    """
    document = whole.document
    if len(whole.expected) != len(document.decisions):
        return {"the set": [f"{len(document.decisions)} decisions, {len(whole.expected)} expectations"]}
    decisions, policies = MemoryDecisions(), MemoryPolicies()
    cards = {version: msgspec.json.decode(files[CARD], type=ModelCard) for version, files in whole.models.items()}
    for one in document.decisions:
        await decisions.record(decision_of(one, cards[one.model_version], catalogue))
    for tenant_id in {one.tenant_id for one in document.decisions}:
        await approve(policies, tenant_id, document.policies)
    replay = ReplayDecision(decisions, policies, conditions, KeptModels(whole.models, catalogue), catalogue)
    found: dict[str, list[str]] = {}
    for one, expected in zip(document.decisions, whole.expected, strict=True):
        try:
            wrong = _wrong(await replay(one.tenant_id, one.event_id), expected)
        except Exception as error:  # noqa: BLE001 - whatever one cannot be replayed for, the others are
            wrong = [repr(error)]
        if wrong:
            found[one.shows] = wrong
    return found


def _wrong(made: Replay, expected: bytes) -> list[str]:
    wrong = [f"{one.pointer}: stored {one.stored}, recomputed {one.recomputed}" for one in made.differences]
    wrong += [
        f"{name} is not what is expected: {_first(found, expected)}"
        for name, found in (("as stored", made.stored), ("recomputed", made.recomputed))
        if found != expected
    ]
    return wrong


def _first(found: bytes, expected: bytes) -> str:
    """Where two begin to differ, with what stands there."""
    place = next(
        (place for place, (one, other) in enumerate(zip(found, expected, strict=False)) if one != other),
        min(len(found), len(expected)),
    )
    around = slice(max(0, place - 40), place + 40)
    return f"byte {place}, …{found[around].decode()}… instead of …{expected[around].decode()}…"


async def approve(policies: MemoryPolicies, tenant_id: TenantId, versions: Mapping[int, Policy]) -> None:
    """Bring a tenant's versions into force, one after the other, as maker and checker do."""

    def audited(number: int) -> AuditEntry:
        return AuditEntry(
            tenant_id=tenant_id,
            actor="maker",
            actor_kind="person",
            action="x",
            object_ref=str(number),
            outcome="success",
        )

    for number, policy in sorted(versions.items()):
        draft = await policies.save_draft(tenant_id, policy, "maker", _BEGAN, audited)
        made = await policies.propose_draft(tenant_id, draft.revision, "maker", "", _BEGAN, audited)
        if made.version != number:
            raise ValueError(f"version {number} of the policy of {tenant_id} is the {made.version}th")
        await policies.decide(tenant_id, made.version, True, "checker", "", _BEGAN, audited)
