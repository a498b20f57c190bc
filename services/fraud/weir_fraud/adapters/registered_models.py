"""Every model that the registry has, for decisions of the past: `ModelVersions`."""

from __future__ import annotations

from typing import Final

from weir_fraud.adapters.model_folder import ModelFolder
from weir_fraud.adapters.onnx_model import OnnxModel
from weir_fraud.errors import ModelRefused, ModelVersionMissing
from weir_fraud.load_models import LoadModel
from weir_fraud.ports import ModelRegistry, WhatIfModel

KEPT: Final = 4
"""Models that stay loaded; a question about an old decision is rare."""


class RegisteredModels:
    """The service's own model, else the one of the registry."""

    def __init__(self, own: ModelFolder, registry: ModelRegistry, load: LoadModel) -> None:
        self._own = own
        self._registry = registry
        self._load = load
        self._loaded: dict[str, OnnxModel] = {}

    async def get(self, version: str) -> WhatIfModel:
        """See `ModelVersions`. `ModelFilesUnavailable`, `ModelRegistryUnavailable` (retry)."""
        try:
            return await self._own.get(version)
        except ModelVersionMissing:
            pass
        if version not in self._loaded:
            entry = await self._registry.version(version)
            if entry is None:
                raise ModelVersionMissing(f"{version} made the decision, and the registry does not have it.")
            try:
                model = await self._load(entry)
            except ModelRefused as error:
                raise ModelVersionMissing(f"{version} made the decision, and cannot be loaded: {error}") from error
            if not isinstance(model, OnnxModel):
                raise ModelVersionMissing(f"{version} made the decision, and is of a kind that cannot be asked.")
            while len(self._loaded) >= KEPT:
                del self._loaded[next(iter(self._loaded))]
            self._loaded[version] = model
        return self._loaded[version]
