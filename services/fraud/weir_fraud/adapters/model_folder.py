"""The models of the service's folder, as `ModelVersions`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from weir_fraud.adapters.onnx_model import REQUEST_ONLY, OnnxModel, load_model
from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.errors import ModelMissing, ModelVersionMissing
from weir_fraud.ports import WhatIfModel

_PREFIXES: Final = ("", REQUEST_ONLY)


class ModelFolder:
    """See `ModelVersions`. Each is loaded when it is first asked for, unless it is given: the folder's model, and the one that stands in
    when the histories are away."""

    def __init__(
        self, folder: Path, catalogue: Catalogue, loaded: OnnxModel | None = None, stand_in: OnnxModel | None = None
    ) -> None:
        """`loaded`, `stand_in`: the folder's models, where somebody has them already."""
        self._folder = folder
        self._catalogue = catalogue
        self._loaded = {
            prefix: model for prefix, model in zip(_PREFIXES, (loaded, stand_in), strict=True) if model is not None
        }

    async def get(self, version: str) -> WhatIfModel:
        found: list[str] = []
        for prefix in _PREFIXES:
            try:
                model = await self._model(prefix)
            except ModelMissing as error:
                found.append(str(error))
                continue
            if model.card.version == version:
                return model
            found.append(f"{self._folder} has {model.card.version}.")
        raise ModelVersionMissing(f"Model {version} is not kept here: {' '.join(found)}")

    async def _model(self, prefix: str) -> OnnxModel:
        if prefix not in self._loaded:
            self._loaded[prefix] = await asyncio.to_thread(load_model, self._folder, self._catalogue, prefix)
        return self._loaded[prefix]
