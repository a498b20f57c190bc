"""A trained model from its folder: ONNX Runtime for the score, LightGBM's exact TreeSHAP for the explanation."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import lightgbm
import msgspec
import numpy as np
import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    RuntimeException,
)

from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.fingerprint import features_fingerprint
from weir_fraud.domain.model import ModelCard, Scored, explanation_fault, probability, score_fault
from weir_fraud.errors import ExplanationError, ModelMissing, ModelRefused, Refusal

CARD: Final = "model.json"
MODELS: Final = ("model.onnx", "model.txt")
FILES: Final = (CARD, *MODELS)
REQUEST_ONLY: Final = "request-only-"
"""Before the names of the files of the model that stands in when the histories are away (`training/artifacts.py`)."""
_PROBES: Final = 30
_UNREADABLE: Final = (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, RuntimeException)

_LARGEST: Final = float(np.finfo(np.float32).max)


class OnnxModel:
    """Both runtimes work on one thread and release the interpreter's lock; a row takes about 0.3 ms, most of it TreeSHAP."""

    def __init__(self, card: ModelCard, session: onnxruntime.InferenceSession, booster: lightgbm.Booster) -> None:
        self._card = card
        self._session = session
        self._booster = booster

    @property
    def card(self) -> ModelCard:
        return self._card

    def score(self, vectors: Sequence[Sequence[float]]) -> list[Scored]:
        # Through 32 bits, as in training: both runtimes then see the numbers that the trees were grown on.
        rows = np.asarray(vectors, dtype=np.float32).astype(np.float64)
        (fast,) = self._session.run(["margin"], {"features": rows})
        margins = self._booster.predict(rows, raw_score=True, num_threads=1)
        shares = self._booster.predict(rows, pred_contrib=True, num_threads=1)
        answers = []
        for served, margin, row in zip(fast[:, 0].tolist(), margins.tolist(), shares.tolist(), strict=True):
            scored = Scored(probability(served), margin, row[-1], tuple(row[:-1]))
            fault = explanation_fault(scored)
            if fault is not None:
                raise ExplanationError(f"{self._card.version}: {fault}")
            answers.append(scored)
        return answers

    def unexplained(self, vectors: Sequence[Sequence[float]]) -> list[Scored]:
        rows = np.asarray(vectors, dtype=np.float32).astype(np.float64)
        (fast,) = self._session.run(["margin"], {"features": rows})
        margins = self._booster.predict(rows, raw_score=True, num_threads=1)
        answers = []
        for served, margin in zip(fast[:, 0].tolist(), margins.tolist(), strict=True):
            scored = Scored(probability(served), margin, self.base, ())
            fault = score_fault(scored)
            if fault is not None:
                raise ExplanationError(f"{self._card.version}: {fault}")
            answers.append(scored)
        return answers

    @cached_property
    def base(self) -> float:
        """The expected margin, which is the same for every row."""
        row = np.zeros((1, len(self._card.features)))
        return float(self._booster.predict(row, pred_contrib=True, num_threads=1)[0, -1])

    def scores(self, vectors: Sequence[Sequence[float]]) -> list[float]:
        rows = np.asarray(vectors, dtype=np.float32).astype(np.float64)
        (fast,) = self._session.run(["margin"], {"features": rows})
        return [probability(margin) for margin in fast[:, 0].tolist()]

    def splits(self) -> Mapping[str, Sequence[float]]:
        """Read from the booster when they are first asked for."""
        return self._splits

    @cached_property
    def _splits(self) -> Mapping[str, Sequence[float]]:
        found: dict[str, set[float]] = {}
        trees: list[dict[str, Any]] = [tree["tree_structure"] for tree in self._booster.dump_model()["tree_info"]]
        while trees:
            node = trees.pop()
            if "split_feature" in node:
                # One that no value of 32 bits is over tells known values from unknown ones only.
                if abs(node["threshold"]) < _LARGEST:
                    name = self._card.features[node["split_feature"]]
                    found.setdefault(name, set()).add(float(node["threshold"]))
                trees += [node["left_child"], node["right_child"]]
        return {name: tuple(sorted(thresholds)) for name, thresholds in found.items()}


def load_model(folder: Path, catalogue: Catalogue, prefix: str = "") -> OnnxModel:
    """The model of a folder; with a prefix, of the files whose names begin so.

    `ModelMissing`, with the command that makes one, if there is none or it is another release's.
    """
    try:
        return open_model(read_folder(folder, prefix), catalogue)
    except ModelRefused as error:
        raise ModelMissing(f"The model in {folder} is refused: {error} {_remedy(folder)}") from error


def load_request_only(folder: Path, catalogue: Catalogue) -> OnnxModel:
    """The folder's model for payments without histories. `ModelMissing` as `load_model`, also if it asks for a history."""
    model = load_model(folder, catalogue, REQUEST_ONLY)
    asking = [name for name in model.card.features if catalogue[name].aggregates]
    if asking:
        raise ModelMissing(
            f"The request-only model in {folder} asks for histories ({', '.join(asking)}). {_remedy(folder)}"
        )
    return model


def read_folder(folder: Path, prefix: str = "") -> dict[str, bytes]:
    """The files of a model. `ModelMissing`, with the command that makes one."""
    try:
        return {name: (folder / f"{prefix}{name}").read_bytes() for name in FILES}
    except OSError as error:
        raise ModelMissing(f"There is no {prefix}fraud model in {folder} ({error}). {_remedy(folder)}") from error


def open_model(files: Mapping[str, bytes], catalogue: Catalogue) -> OnnxModel:
    """The model of these files, warm. `ModelRefused`, with the reason, if this release cannot or must not use it."""
    try:
        card = msgspec.json.decode(files[CARD], type=ModelCard)
    except msgspec.DecodeError as error:
        raise ModelRefused(f"{CARD} is no model card of this release ({error}).", Refusal.CARD) from error
    for name in MODELS:
        if sha256(files[name]).hexdigest() != card.files.get(name):
            raise ModelRefused(f"{name} is not the file that the model card describes.", Refusal.HASH)
    if card.features_fingerprint != features_fingerprint() or set(card.features) - set(catalogue.names()):
        raise ModelRefused(
            f"{card.version} was trained on other feature definitions than this release has.", Refusal.FEATURES
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(files["model.onnx"], options, providers=["CPUExecutionProvider"])
        booster = lightgbm.Booster(model_str=files["model.txt"].decode())
        model = OnnxModel(card, session, booster)
        # Both runtimes make their plans at the first row, for which no customer should wait; and both must agree on what they say.
        probes = _probes(len(card.features))
        model.score(probes)
        model.unexplained(probes)
    except ExplanationError as error:
        raise ModelRefused(f"Its explanations do not hold: {error}.", Refusal.EXPLANATION) from error
    except (*_UNREADABLE, lightgbm.basic.LightGBMError, UnicodeDecodeError, ValueError) as error:
        raise ModelRefused(f"{card.version} cannot be loaded ({error}).", Refusal.UNREADABLE) from error
    return model


def _probes(width: int) -> list[list[float]]:
    """Nothing known, all zero, and rows all over the trees, some of their values unknown."""
    random = np.random.default_rng(1)
    rows = random.exponential(10, (_PROBES, width)) * random.choice([0.1, 1, 100], (_PROBES, width))
    rows[random.random(rows.shape) < 0.2] = np.nan
    return [[math.nan] * width, [0.0] * width, *rows.tolist()]


def _remedy(folder: Path) -> str:
    return f"Run `{sys.executable} -m weir_fraud.training --output {folder}`."
