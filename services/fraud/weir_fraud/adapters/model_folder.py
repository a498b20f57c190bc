"""The one model of the service's folder, as `ModelVersions`."""

from __future__ import annotations

import asyncio
from pathlib import Path

from weir_fraud.adapters.onnx_model import OnnxModel, load_model
from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.errors import ModelMissing, ModelVersionMissing
from weir_fraud.ports import WhatIfModel


class ModelFolder:
    """See `ModelVersions`. Loaded when it is first asked for, unless it is given."""

    def __init__(self, folder: Path, catalogue: Catalogue, loaded: OnnxModel | None = None) -> None:
        """`loaded`: the folder's model, where somebody has it already."""
        self._folder = folder
        self._catalogue = catalogue
        self._loaded = loaded

    async def get(self, version: str) -> WhatIfModel:
        if self._loaded is None:
            try:
                self._loaded = await asyncio.to_thread(load_model, self._folder, self._catalogue)
            except ModelMissing as error:
                raise ModelVersionMissing(f"Model {version} is not kept here: {error}") from error
        if self._loaded.card.version != version:
            raise ModelVersionMissing(
                f"Model {version} is not kept here: {self._folder} has {self._loaded.card.version}."
            )
        return self._loaded
