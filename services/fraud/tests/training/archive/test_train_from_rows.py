"""A model from an archive in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
from weir_common.ids import TenantId
from weir_fraud.adapters.onnx_model import open_model
from weir_fraud.domain.catalogue import Catalogue, catalogue_of
from weir_fraud.domain.model import ModelCard
from weir_fraud.domain.payment import microseconds
from weir_fraud.errors import ModelRefused
from weir_fraud.training.archive.recipe import Recipe
from weir_fraud.training.archive.rows import Rows, archived_rows
from weir_fraud.training.archive.train import _enough, train_from_rows

START = datetime(2026, 1, 1, tzinfo=UTC)
RECIPE = Recipe(as_of=START + timedelta(days=60), days=42, validation_days=10, test_days=10, most_trees=60, patience=15)


def quiet(_: str) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def small(catalogue: Catalogue) -> Catalogue:
    names = [name for name in catalogue.names() if name.startswith(("amount", "user_", "merchant_", "night"))]
    return catalogue_of(catalogue[name] for name in names)


@pytest.fixture(scope="module")
def rows(shop: Any, small: Catalogue) -> Rows:
    return archived_rows(shop, TenantId("shop"), shop.known, small, RECIPE.since, RECIPE.until)


def card_of(files: dict[str, bytes]) -> ModelCard:
    return msgspec.json.decode(files["model.json"], type=ModelCard)


def test_the_service_takes_the_model_and_it_is_good(catalogue: Catalogue, small: Catalogue, rows: Rows) -> None:
    files = dict(train_from_rows(rows, small, RECIPE, {"data": "test"}, quiet))
    model = open_model(files, catalogue)
    card = model.card
    test = card.metrics["test"]
    assert test["auc_roc"] > 0.9
    low, high = test["auc_roc_95"]
    assert low < test["auc_roc"] < high
    assert test["intervals"] == "95% percentile bootstrap by cards (who pays), 200 samples"
    assert card.training["data_sha256"] == rows.digest
    assert card.training["rows"] == {"train": 2_200, "validation": 1_000, "test": 1_000}
    assert card.metrics["onnx_difference_max"] <= 1e-6
    assert set(card.metrics["importance"]) == set(card.features) <= set(small.names())
    scored = model.score(rows.only(card.features).x[-50:].tolist())
    assert all(0 < one.score < 1 for one in scored)


def test_probabilities_are_calibrated_whatever_a_fraud_weighs(small: Catalogue, rows: Rows) -> None:
    heavy = card_of(
        dict(train_from_rows(rows, small, msgspec.structs.replace(RECIPE, positive_weight=25.0), {}, quiet))
    )
    test = heavy.metrics["test"]
    assert test["calibration_error"] < test["calibration_error_before"] / 2
    assert test["calibration_error"] < 0.02


def test_the_same_rows_and_recipe_give_the_same_bytes(small: Catalogue, rows: Rows) -> None:
    assert train_from_rows(rows, small, RECIPE, {}, quiet) == train_from_rows(rows, small, RECIPE, {}, quiet)


def test_without_a_refit_what_is_measured_is_what_is_served(small: Catalogue, rows: Rows) -> None:
    files = dict(train_from_rows(rows, small, msgspec.structs.replace(RECIPE, refit=False), {}, quiet))
    assert card_of(files).metrics["test"]["of"] == "the model that is served"
    assert files["model.txt"] != dict(train_from_rows(rows, small, RECIPE, {}, quiet))["model.txt"]


def test_too_few_frauds_are_refused(small: Catalogue, rows: Rows) -> None:
    since, until = microseconds(RECIPE.validation_since), microseconds(RECIPE.test_since)
    honest = replace(rows, y=np.where((rows.at >= since) & (rows.at < until), 0, rows.y).astype(np.int8))
    with pytest.raises(ModelRefused, match="validate are 0 frauds; 20 of each kind are needed"):
        train_from_rows(honest, small, RECIPE, {}, quiet)


def test_periods_that_leave_nothing_to_learn_from_are_refused() -> None:
    with pytest.raises(ValueError, match="leave none of 14 to learn from"):
        Recipe(as_of=START, days=14)


def test_nothing_younger_than_the_label_delay_is_learnt_from() -> None:
    recipe = Recipe(as_of=START + timedelta(days=100))
    assert recipe.until == START + timedelta(days=93)
    assert recipe.since == START + timedelta(days=65)
    assert recipe.test_since == START + timedelta(days=86)
    assert recipe.validation_since == START + timedelta(days=79)


def test_the_mean_of_three_has_three_times_the_trees_and_is_as_good(
    catalogue: Catalogue, small: Catalogue, rows: Rows
) -> None:
    recipe = msgspec.structs.replace(RECIPE, boosters=3)
    files = dict(train_from_rows(rows, small, recipe, {"data": "test"}, quiet))
    assert files == dict(train_from_rows(rows, small, recipe, {"data": "test"}, quiet))
    card = card_of(files)
    assert files["model.txt"].decode().count("Tree=") == 3 * card.training["trees"]
    assert card.metrics["test"]["auc_roc"] > 0.9
    assert card.metrics["onnx_difference_max"] <= 1e-6
    assert open_model(files, catalogue).card == card


@pytest.mark.parametrize(("share", "trees"), [(1.0, 4), (0.99, 3), (0.9, 2), (0.5, 1)])
def test_the_fewest_trees_that_reach_the_share_are_taken(share: float, trees: int) -> None:
    assert _enough([0.5, 0.75, 0.795, 0.8, 0.79], share) == trees
