"""From a seed to the files of a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Final

import msgspec
import numpy as np

from weir_fraud.domain.catalogue import Catalogue, catalogue_of, load_catalogue
from weir_fraud.domain.fingerprint import features_fingerprint
from weir_fraud.domain.model import ModelCard
from weir_fraud.training.artifacts import CARD, REQUEST_ONLY, library_versions
from weir_fraud.training.baselines import baselines_of
from weir_fraud.training.data import TRAIN_DAYS, VALIDATION_DAYS, TrainingSet, generate, tells, training_set
from weir_fraud.training.fit import PARAMETERS, TREES, fit, refuse_unless_equal, scores_of, version_of
from weir_fraud.training.metrics import report, thresholds_for
from weir_fraud.training.onnx_form import onnx_form
from weir_fraud.training.shop import DAYS

HONEST_REVIEWED: Final = 0.005
"""Share of honest payments that a person may have to look at, on the period before the measured one."""
HONEST_DECLINED: Final = 0.0005


def train(seed: int, key: str, say: Callable[[str], None]) -> Mapping[str, bytes]:
    """The files of the model, `model.onnx`, `model.txt` and `model.json`, and with the prefix `REQUEST_ONLY` those of the one that does
    without histories; the same seed gives the same bytes. `ModelRefused` if one must not be used."""
    catalogue = load_catalogue()
    payments = generate(seed)
    say(f"{len(payments)} payments of {DAYS} days made")
    data = training_set(payments, catalogue)
    say(f"{len(catalogue.features)} features computed")
    # What the data never tells, or always tells the same, can neither be learnt from nor be explained by.
    telling = [name for name, column in zip(catalogue.names(), data.train.x.T, strict=True) if tells(column)]
    of_request = [name for name in telling if not catalogue[name].aggregates]
    return {
        f"{prefix}{name}": content
        for prefix, chosen in (("", telling), (REQUEST_ONLY, of_request))
        for name, content in _train_on(chosen, catalogue, data, seed, key, say).items()
    }


def _train_on(
    chosen: Sequence[str], whole: Catalogue, everything: TrainingSet, seed: int, key: str, say: Callable[[str], None]
) -> Mapping[str, bytes]:
    catalogue, data = catalogue_of(whole[name] for name in chosen), everything.only(chosen, whole.names())
    say(f"{len(chosen)} of them to learn from")
    booster = fit(data.train, catalogue, seed)
    onnx_model = onnx_form(booster)
    parity = refuse_unless_equal(booster, onnx_model, data.test.x, seed)
    validation = scores_of(onnx_model, data.validation.x)
    thresholds = thresholds_for(data.validation.y, validation, review=HONEST_REVIEWED, decline=HONEST_DECLINED)
    test = report(data.test, scores_of(onnx_model, data.test.x), thresholds)
    say(f"average precision {test['average_precision']:.3f} on the {DAYS - VALIDATION_DAYS} days after")
    model_text = booster.model_to_string()
    files = {"model.onnx": onnx_model, "model.txt": model_text.encode()}
    gains = np.asarray(booster.feature_importance("gain"))
    card = ModelCard(
        version=version_of(model_text, onnx_model, msgspec.to_builtins(thresholds)),
        features=catalogue.names(),
        thresholds=thresholds,
        files={name: sha256(content).hexdigest() for name, content in files.items()},
        features_fingerprint=features_fingerprint(),
        key=key,
        training={
            "seed": seed,
            "histories": any(feature.aggregates for feature in catalogue.features.values()),
            "data": "synthetic shops and attacks (weir_fraud/training/shop.py, attacks.py)",
            "data_sha256": data.digest,
            "periods_days": {
                "train": [0, TRAIN_DAYS],
                "validation": [TRAIN_DAYS, VALIDATION_DAYS],
                "test": [VALIDATION_DAYS, DAYS],
            },
            "rows": {"train": len(data.train.y), "validation": len(data.validation.y), "test": len(data.test.y)},
            "frauds": {"train": int(data.train.y.sum()), "validation": int(data.validation.y.sum())},
            "trees": TREES,
            "parameters": PARAMETERS,
            "libraries": library_versions(),
            "threshold_rule": {"honest_reviewed": HONEST_REVIEWED, "honest_declined": HONEST_DECLINED},
        },
        metrics={
            "test": test,
            "onnx_difference_max": parity,
            "gain": {
                name: round(float(gain / gains.sum()), 6)
                for name, gain in sorted(zip(catalogue.names(), gains, strict=True), key=lambda pair: -pair[1])
            },
        },
        baselines=baselines_of(data.train.x, catalogue.names(), validation),
    )
    return {**files, CARD: msgspec.json.format(msgspec.json.encode(card), indent=2)}
