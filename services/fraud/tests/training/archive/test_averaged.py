"""Some boosters as one: exactly the mean of their margins and of their contributions."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest
from weir_fraud.training.archive.averaged import averaged
from weir_fraud.training.fit import refuse_unless_equal
from weir_fraud.training.onnx_form import onnx_form


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return np.random.default_rng(3).normal(size=(2_000, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def boosters(x: np.ndarray) -> list[lightgbm.Booster]:
    y = (x[:, 0] + x[:, 1] * x[:, 2] > 1).astype(int)
    return [
        lightgbm.train(
            {
                "objective": "binary",
                "num_leaves": 6,
                "bagging_fraction": 0.5,
                "bagging_freq": 1,
                "seed": seed,
                "verbose": -1,
            },
            lightgbm.Dataset(x, y, feature_name=list("abcd")),
            num_boost_round=trees,
        )
        for seed, trees in ((1, 30), (2, 7), (3, 1))
    ]


def test_margins_and_contributions_are_the_means_of_theirs(x: np.ndarray, boosters: list[lightgbm.Booster]) -> None:
    one = averaged(boosters)
    assert one.num_trees() == 38
    assert one.feature_name() == list("abcd")
    margins = np.mean([booster.predict(x, raw_score=True) for booster in boosters], axis=0)
    np.testing.assert_allclose(one.predict(x, raw_score=True), margins, atol=1e-12)
    contributions = np.mean([booster.predict(x, pred_contrib=True) for booster in boosters], axis=0)
    np.testing.assert_allclose(one.predict(x, pred_contrib=True), contributions, atol=1e-12)


def test_it_is_written_and_read_again_as_it_is_and_its_other_form_agrees(
    x: np.ndarray, boosters: list[lightgbm.Booster]
) -> None:
    one = averaged(boosters)
    again = lightgbm.Booster(model_str=one.model_to_string())
    np.testing.assert_array_equal(again.predict(x, raw_score=True), one.predict(x, raw_score=True))
    assert refuse_unless_equal(one, onnx_form(one), x, seed=1) <= 1e-6
    gains = np.sum([booster.feature_importance("gain") for booster in boosters], axis=0)
    np.testing.assert_allclose(one.feature_importance("gain"), gains, rtol=1e-6)


def test_of_one_it_is_that_one(boosters: list[lightgbm.Booster]) -> None:
    assert averaged(boosters[:1]) is boosters[0]
