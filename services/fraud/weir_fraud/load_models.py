"""Put a model where every instance finds it, and get it from there: each file is looked at by its hash, each time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Final

from weir_common.audit import PLATFORM, AuditEntry
from weir_common.auth import Action

from weir_fraud.domain.model import ModelCard
from weir_fraud.domain.model_stage import ModelVersion, Move
from weir_fraud.errors import ModelRefused, Refusal
from weir_fraud.ports import Model, ModelFiles, ModelRegistry

SERVICE: Final = "fraud"
OpenModel = Callable[[Mapping[str, bytes]], Model]
"""Takes the files of a model; `ModelRefused` if it is not to be used. Takes a tenth of a second and more: for a thread."""


class LoadModel:
    """The model of a version of the registry."""

    def __init__(self, files: ModelFiles, open_model: OpenModel) -> None:
        self._files = files
        self._open_model = open_model

    async def __call__(self, entry: ModelVersion) -> Model:
        """Loaded and warm. `ModelRefused` with the reason; `ModelFilesUnavailable` (retry)."""
        if entry.folder is None:
            raise ModelRefused(f"The files of {entry.version} were not stored.", Refusal.MISSING)
        files = await self._files.get(entry.folder, sorted(entry.files))
        for name, content in files.items():
            if sha256(content).hexdigest() != entry.files[name]:
                raise ModelRefused(f"{self._files.uri(entry.folder)}/{name} is not what was registered.", Refusal.HASH)
        model = await asyncio.to_thread(self._open_model, files)
        if model.card.version != entry.version:
            raise ModelRefused(f"The files of {entry.version} are those of {model.card.version}.", Refusal.CARD)
        return model


class PublishModel:
    """Store the files of a model, then register it; the champion if there is none. The same again changes nothing."""

    def __init__(self, files: ModelFiles, registry: ModelRegistry, clock: Callable[[], datetime]) -> None:
        self._files = files
        self._registry = registry
        self._clock = clock

    async def __call__(self, card: ModelCard, files: Mapping[str, bytes]) -> list[Move]:
        """`ModelFilesUnavailable`, `ModelRegistryUnavailable` (retry)."""
        known = await self._registry.version(card.version)
        hashes = {name: sha256(content).hexdigest() for name, content in files.items()}
        folder = folder_of(card.version, hashes)
        if known is None or known.folder is None:
            await self._files.put(folder, files)
        return await self._registry.register(card, folder, hashes, SERVICE, self._clock(), _audited(card.version))


def folder_of(version: str, hashes: Mapping[str, str]) -> str:
    """Named by the contents, so that two releases which give a version different cards do not write into each other's files."""
    digest = sha256("".join(f"{name}\x00{hashes[name]}\x00" for name in sorted(hashes)).encode()).hexdigest()
    return f"{version}-{digest[:16]}"


def _audited(version: str) -> Callable[[Sequence[Move]], Sequence[AuditEntry]]:
    def entries(moves: Sequence[Move]) -> Sequence[AuditEntry]:
        return [
            AuditEntry(
                tenant_id=PLATFORM,
                actor=SERVICE,
                actor_kind="service",
                action=str(Action.FRAUD_MODELS_MANAGE),
                object_ref=f"fraud-model:{version}",
                outcome="success",
                detail={"what": "register", "stage": str(moves[-1].after) if moves else "candidate"},
                service=SERVICE,
            )
        ]

    return entries
