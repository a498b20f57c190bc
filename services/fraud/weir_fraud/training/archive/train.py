"""From the rows of an archive to the files of a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, Final

import lightgbm
import msgspec
import numpy as np
from numpy.typing import NDArray

from weir_fraud.domain.catalogue import Catalogue, catalogue_of
from weir_fraud.domain.fingerprint import features_fingerprint
from weir_fraud.domain.model import ModelCard
from weir_fraud.errors import ModelRefused
from weir_fraud.training.archive.averaged import averaged
from weir_fraud.training.archive.calibration import calibrated, calibration_error, platt
from weir_fraud.training.archive.intervals import INTERVALS, figures
from weir_fraud.training.archive.recipe import Recipe
from weir_fraud.training.archive.rows import Rows
from weir_fraud.training.artifacts import CARD, library_versions
from weir_fraud.training.baselines import baselines_of
from weir_fraud.training.data import tells
from weir_fraud.training.fit import refuse_unless_equal, scores_of, version_of
from weir_fraud.training.metrics import thresholds_for
from weir_fraud.training.onnx_form import onnx_form

LEAST_FRAUDS: Final = 20
"""In each of the three periods; of fewer neither a model nor a figure can be made."""
_EXPLAINED: Final = 2_000
"""Rows of which the mean size of each feature's contribution is taken."""


def train_from_rows(rows: Rows, catalogue: Catalogue, recipe: Recipe, data: Mapping[str, Any], say: Callable[[str], None]) -> Mapping[str, bytes]:  # fmt: skip
    """`model.onnx`, `model.txt` and `model.json`. `ModelRefused` if there is too little to learn from, or if its two forms disagree.

    ``data`` says in the card where the rows are from.
    """
    digest = rows.digest
    fit_rows = rows.between(recipe.since, recipe.validation_since)
    validation = rows.between(recipe.validation_since, recipe.test_since)
    test = rows.between(recipe.test_since, recipe.until)
    for name, part in (("learnt from", fit_rows), ("validate", validation), ("test", test)):
        frauds, honest = int(part.y.sum()), int((part.y == 0).sum())
        say(f"{len(part)} payments {name}, {frauds} of them fraud")
        if min(frauds, honest) < LEAST_FRAUDS:
            raise ModelRefused(
                f"Among the {len(part)} payments that are to be {name} are {frauds} frauds; {LEAST_FRAUDS} of each kind are needed."
            )
    # What the data never tells, or always tells the same, can neither be learnt from nor be explained by.
    telling = [name for name, column in zip(rows.names, fit_rows.x.T, strict=True) if tells(column)]
    rows, fit_rows, validation, test = (part.only(telling) for part in (rows, fit_rows, validation, test))
    say(f"{len(telling)} of {len(catalogue.names())} features differ between payments")

    fitted = [_fit(fit_rows, catalogue, recipe, validation, seed) for seed in recipe.seeds]
    trees = round(float(np.mean([_enough(curve, recipe.enough) for _, curve in fitted])))
    say(
        f"{trees} trees{' each' * (len(fitted) > 1)}: {recipe.enough:.4g} of the best average precision of the validation days"
    )
    raw = averaged([_cut(booster, trees) for booster, _ in fitted])
    line = platt(_margins(raw, validation), validation.y)
    measured = calibrated(raw, line)
    thresholds = thresholds_for(
        validation.y,
        _scores(measured, validation),
        review=recipe.honest_reviewed,
        decline=recipe.honest_declined,
    )
    tested = _scores(measured, test)
    result = figures(test, tested, recipe.seed)
    say(f"AUC {result['auc_roc']:.3f}, average precision {result['average_precision']:.3f} on the test days")

    if recipe.refit:
        whole = rows.between(recipe.since, recipe.until)
        served = calibrated(averaged([_grow(whole, catalogue, recipe, trees, seed) for seed in recipe.seeds]), line)
        say("grown once more from all days")
    else:
        served = measured
    onnx_model = onnx_form(served)
    parity = refuse_unless_equal(served, onnx_model, test.x, recipe.seed)
    text = served.model_to_string()
    files = {"model.onnx": onnx_model, "model.txt": text.encode()}
    card = ModelCard(
        version=version_of(text, onnx_model, msgspec.to_builtins(thresholds)),
        features=tuple(telling),
        thresholds=thresholds,
        files={name: sha256(content).hexdigest() for name, content in files.items()},
        features_fingerprint=features_fingerprint(),
        key=sha256(msgspec.json.encode([recipe, digest, library_versions()])).hexdigest(),
        training={
            **data,
            "recipe": msgspec.to_builtins(recipe),
            "data_sha256": digest,
            "periods": {
                "train": [recipe.since.isoformat(), recipe.validation_since.isoformat()],
                "validation": [recipe.validation_since.isoformat(), recipe.test_since.isoformat()],
                "test": [recipe.test_since.isoformat(), recipe.until.isoformat()],
            },
            "rows": {"train": len(fit_rows), "validation": len(validation), "test": len(test)},
            "frauds": {"train": int(fit_rows.y.sum()), "validation": int(validation.y.sum())},
            "trees": trees,
            "calibration": line._asdict(),
            "libraries": library_versions(),
        },
        metrics={
            "test": {
                "rows": len(test),
                "frauds": int(test.y.sum()),
                **result,
                "intervals": INTERVALS,
                "brier_score": float(np.mean((tested - test.y) ** 2)),
                "calibration_error": calibration_error(test.y, tested),
                "calibration_error_before": calibration_error(test.y, _scores(raw, test)),
                "honest_reviewed": float((tested[test.y == 0] >= thresholds.review).mean()),
                "honest_declined": float((tested[test.y == 0] >= thresholds.decline).mean()),
                "of": "the model that had not seen the days that validate and test"
                if recipe.refit
                else "the model that is served",
            },
            "onnx_difference_max": parity,
            "importance": _importance(served, telling, test),
        },
        baselines=baselines_of(fit_rows.x, telling, _scores(measured, validation)),
    )
    return {**files, CARD: msgspec.json.format(msgspec.json.encode(card), indent=2)}


def _fit(
    part: Rows, catalogue: Catalogue, recipe: Recipe, validation: Rows, seed: int
) -> tuple[lightgbm.Booster, list[float]]:
    """Until the validation days get no better; and their average precision after each tree."""
    learnt = lightgbm.Dataset(part.x, part.y, feature_name=list(part.names))
    told: dict[str, dict[str, list[float]]] = {}
    booster = lightgbm.train(
        recipe.parameters(_monotone(part, catalogue), seed),
        learnt,
        num_boost_round=recipe.most_trees,
        valid_sets=[lightgbm.Dataset(validation.x, validation.y, reference=learnt)],
        callbacks=[lightgbm.early_stopping(recipe.patience, verbose=False), lightgbm.record_evaluation(told)],
    )
    (metrics,) = told.values()
    return booster, metrics["average_precision"]


def _enough(curve: list[float], share: float) -> int:
    """The fewest trees with that share of the best."""
    return next(number for number, reached in enumerate(curve, start=1) if reached >= share * max(curve))


def _grow(part: Rows, catalogue: Catalogue, recipe: Recipe, trees: int, seed: int) -> lightgbm.Booster:
    learnt = lightgbm.Dataset(part.x, part.y, feature_name=list(part.names))
    return lightgbm.train(recipe.parameters(_monotone(part, catalogue), seed), learnt, num_boost_round=trees)


def _monotone(part: Rows, catalogue: Catalogue) -> list[int]:
    return [feature.monotone for feature in catalogue_of(catalogue[name] for name in part.names).features.values()]


def _cut(booster: lightgbm.Booster, trees: int) -> lightgbm.Booster:
    return lightgbm.Booster(model_str=booster.model_to_string(num_iteration=trees))


def _margins(booster: lightgbm.Booster, part: Rows) -> NDArray[np.float64]:
    return np.asarray(booster.predict(part.x, raw_score=True))


def _scores(booster: lightgbm.Booster, part: Rows) -> NDArray[np.float64]:
    """As they would be served."""
    return scores_of(onnx_form(booster), part.x)


def _importance(booster: lightgbm.Booster, names: list[str], test: Rows) -> dict[str, dict[str, float]]:
    """Of each feature the share of the gain, and the mean size of its contribution to the margin on the test days; largest first."""
    gains = np.asarray(booster.feature_importance("gain"))
    sample = test.x[:: max(1, len(test) // _EXPLAINED)]
    contributions = np.abs(np.asarray(booster.predict(sample, pred_contrib=True))[:, :-1]).mean(axis=0)
    whole = max(float(gains.sum()), 1e-300)
    return {
        name: {"gain": round(float(gain) / whole, 6), "contribution": round(float(size), 6)}
        for name, gain, size in sorted(zip(names, gains, contributions, strict=True), key=lambda entry: -entry[2])
    }
