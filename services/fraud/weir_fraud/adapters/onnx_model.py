"""The model: ONNX Runtime for the score, LightGBM's exact TreeSHAP for the explanation; both from the same trees."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import lightgbm
import msgspec
import numpy as np
import onnxruntime
from weir_common.errors import StopError

from weir_fraud.domain.decision import Thresholds
from weir_fraud.domain.features import NAMES


class ModelCard(msgspec.Struct, frozen=True):
    """``model.json``: what the model is and how well it did on a later period that it had not seen."""

    version: str
    features: list[str]
    thresholds: Thresholds
    trained_on: dict[str, int]
    measures: dict[str, float]
    libraries: dict[str, str]


class OnnxModel:
    """Loads ``model.onnx``, ``model.txt`` and ``model.json`` from a folder; one thread, since a row takes microseconds."""

    def __init__(self, folder: Path) -> None:
        try:
            self.card = msgspec.json.decode((folder / "model.json").read_bytes(), type=ModelCard)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            options.inter_op_num_threads = 1
            self._session = onnxruntime.InferenceSession(
                (folder / "model.onnx").read_bytes(), options, providers=["CPUExecutionProvider"]
            )
            self._booster = lightgbm.Booster(model_file=str(folder / "model.txt"))
        except (OSError, msgspec.DecodeError, lightgbm.basic.LightGBMError) as error:
            raise StopError(
                f"no usable model in {folder} ({error}); train one: python -m weir_fraud.training --output {folder}"
            ) from error
        if tuple(self.card.features) != NAMES:
            raise StopError(
                f"the model in {folder} was trained on other features than this code computes; "
                f"train it again: python -m weir_fraud.training --output {folder}"
            )
        self._input = self._session.get_inputs()[0].name

    @property
    def version(self) -> str:
        """The hash that names the model."""
        return self.card.version

    @property
    def thresholds(self) -> Thresholds:
        """From the model card."""
        return self.card.thresholds

    def score(self, rows: Sequence[Sequence[float]]) -> list[float]:
        """See ``Model.score``."""
        outputs = self._session.run(None, {self._input: np.asarray(rows, dtype=np.float32)})
        return [float(row[1]) for row in outputs[1]]

    def explain(self, rows: Sequence[Sequence[float]]) -> list[tuple[float, list[float]]]:
        """See ``Model.explain``. The rows are rounded to float32 first: both runtimes must see the same numbers."""
        values = np.asarray(rows, dtype=np.float32).astype(np.float64)
        margins = self._booster.predict(values, raw_score=True, num_threads=1)
        contributions = self._booster.predict(values, pred_contrib=True, num_threads=1)
        return [
            (float(margin), [float(share) for share in row]) for margin, row in zip(margins, contributions, strict=True)
        ]
