from __future__ import annotations

import msgspec
import numpy as np
import pytest
from weir_fraud.domain.drift import Baseline, DriftCounts
from weir_fraud.domain.model import ModelCard
from weir_fraud.training.baselines import baseline_of, baselines_of


def test_ten_bins_of_a_tenth_each_and_one_of_what_is_not_known() -> None:
    values = np.append(np.arange(90, dtype=np.float64), [np.nan] * 10)
    found = baseline_of(values)
    assert len(found.edges) == 9
    assert len(found.shares) == 11
    assert found.shares[-1] == pytest.approx(0.1)
    assert sum(found.shares) == pytest.approx(1)
    assert set(found.shares[:-1]) == {0.09}


def test_a_value_that_most_rows_have_is_one_bin() -> None:
    found = baseline_of(np.array([0.0] * 80 + [1.0] * 15 + [5.0] * 5))
    assert found == Baseline((1.0,), (0.8, 0.2, 0.0))


def test_a_constant_and_nothing_at_all() -> None:
    assert baseline_of(np.array([3.0, 3.0, np.nan, np.nan])) == Baseline((), (0.5, 0.5))
    assert baseline_of(np.array([np.nan, np.nan])) == Baseline((), (0.0, 1.0))


def test_the_data_itself_has_not_moved() -> None:
    random = np.random.default_rng(1)
    x = np.column_stack([random.exponential(3, 5_000), random.integers(0, 3, 5_000)]).astype(np.float32)
    x[random.random(x.shape) < 0.1] = np.nan
    scores = random.beta(1, 9, 5_000)
    baselines = baselines_of(x, ("a", "b"), scores)
    same, moved = DriftCounts(baselines, ("a", "b")), DriftCounts(baselines, ("a", "b"))
    for row, score in zip(x.astype(np.float64), scores, strict=True):
        same.add(row, float(score))
        moved.add((row[0] * 3, row[1]), float(score))
    assert same.feature_psi() == pytest.approx({"a": 0, "b": 0}, abs=1e-12)
    assert same.score_psi() == pytest.approx(0, abs=1e-12)
    assert moved.feature_psi()["a"] > 0.25
    assert moved.feature_psi()["b"] == pytest.approx(0, abs=1e-12)


def test_a_card_keeps_them_and_one_of_before_is_still_read(toys: object) -> None:
    card = toys.card("a")  # type: ignore[attr-defined]
    old = msgspec.json.decode(msgspec.json.encode(card))
    del old["baselines"]
    assert msgspec.convert(old, ModelCard).baselines is None
    baselines = baselines_of(np.ones((4, 1), dtype=np.float32), ("amount",), np.array([0.1, 0.2, 0.3, 0.4]))
    kept = msgspec.structs.replace(card, baselines=baselines)
    assert msgspec.json.decode(msgspec.json.encode(kept), type=ModelCard).baselines == baselines
