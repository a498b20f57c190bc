from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

import msgspec
import numpy as np
import pytest
from weir_fraud.adapters.onnx_model import load_model
from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.fingerprint import features_fingerprint
from weir_fraud.domain.model import SCORE_TOLERANCE, ModelCard, Thresholds
from weir_fraud.errors import ModelRefused
from weir_fraud.training.__main__ import main
from weir_fraud.training.artifacts import REQUEST_ONLY, cached, is_whole, training_key, write
from weir_fraud.training.attacks import ATTACKS, Scene, attacks_on
from weir_fraud.training.data import Part
from weir_fraud.training.fit import fit, refuse_unless_equal
from weir_fraud.training.metrics import auc_roc, average_precision, report, thresholds_for
from weir_fraud.training.onnx_form import onnx_form
from weir_fraud.training.shop import SHOPS, Labelled, payments_of


def small_shop(seed: int) -> list[Labelled]:
    shop = SHOPS[-1]
    random = np.random.default_rng(seed)
    honest, people = payments_of(shop, random)
    return honest + attacks_on(Scene(shop, people, honest), random)


def test_the_same_seed_makes_the_same_shop_and_another_another() -> None:
    assert small_shop(1) == small_shop(1)
    assert small_shop(1) != small_shop(2)


def test_every_attack_happens() -> None:
    scenarios = {
        labelled.scenario
        for seed, shop in enumerate(SHOPS)
        for honest, people in [payments_of(shop, np.random.default_rng(seed))]
        for labelled in attacks_on(Scene(shop, people, honest), np.random.default_rng(seed))
    }
    assert scenarios == set(ATTACKS)


def test_areas_known_by_hand() -> None:
    y = np.array([0, 0, 1, 1], dtype=np.int8)
    scores = np.array([0.1, 0.4, 0.35, 0.8])
    assert auc_roc(y, scores) == 0.75
    assert average_precision(y, scores) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    ties = np.array([0.5, 0.5, 0.5, 0.5])
    assert auc_roc(y, ties) == 0.5
    assert average_precision(y, ties) == 0.5


def test_thresholds_keep_their_promise_to_honest_payments() -> None:
    random = np.random.default_rng(0)
    y = (random.random(10_000) < 0.1).astype(np.int8)
    scores = random.random(10_000)
    thresholds = thresholds_for(y, scores, review=0.05, decline=0.01)
    assert (scores[y == 0] >= thresholds.review).mean() <= 0.05
    assert (scores[y == 0] >= thresholds.decline).mean() <= 0.01
    figures = report(Part(np.empty((0, 0), np.float32), y, ("",) * len(y), ("t",) * len(y)), scores, thresholds)
    assert figures["review_or_decline"]["false_positive_rate"] == pytest.approx(0.05, abs=0.001)
    assert figures["false_positive_rate_by_tenant"]["t"] == figures["review_or_decline"]["false_positive_rate"]


def test_a_conversion_that_differs_is_refused(catalogue: Catalogue) -> None:
    random = np.random.default_rng(1)
    x = random.random((2_000, len(catalogue.names()))).astype(np.float32)
    y = (x[:, 0] > 0.7).astype(np.int8)
    booster = fit(Part(x, y, (), ()), catalogue, seed=1)
    assert refuse_unless_equal(booster, onnx_form(booster), x, seed=1) <= SCORE_TOLERANCE
    other = fit(Part(x, 1 - y, (), ()), catalogue, seed=1)
    with pytest.raises(ModelRefused, match="differ by up to"):
        refuse_unless_equal(booster, onnx_form(other), x, seed=1)


def test_what_is_declared_monotone_is_so(catalogue: Catalogue) -> None:
    names = catalogue.names()
    place = names.index("user_payment_count_1h")
    random = np.random.default_rng(2)
    x = random.random((3_000, len(names))).astype(np.float32)
    y = (np.sin(9 * x[:, place]) > 0.3).astype(np.int8)
    booster = fit(Part(x, y, (), ()), catalogue, seed=2)
    ladder = np.repeat(x[:1], 50, axis=0)
    ladder[:, place] = np.linspace(0, 1, 50)
    assert (np.diff(np.asarray(booster.predict(ladder))) >= 0).all()


def files(key: str) -> dict[str, bytes]:
    card = ModelCard(
        version="v",
        features=(),
        thresholds=Thresholds(review=0.1, decline=0.2),
        files={"model.txt": sha256(b"trees").hexdigest()},
        features_fingerprint="",
        key=key,
        training={},
        metrics={},
    )
    one = {"model.txt": b"trees", "model.json": msgspec.json.encode(card)}
    return one | {f"{REQUEST_ONLY}{name}": content for name, content in one.items()}


def test_a_model_is_trained_once_and_again_when_its_files_are_spoilt(tmp_path: Path) -> None:
    made: list[str] = []

    def make() -> dict[str, bytes]:
        made.append("k")
        return files("k")

    folder = cached(tmp_path, "k", make)
    assert cached(tmp_path, "k", make) == folder
    assert made == ["k"]
    (folder / "model.txt").write_bytes(b"spoilt")
    assert is_whole(cached(tmp_path, "k", make), "k")
    assert made == ["k", "k"]
    assert not is_whole(folder, "another key")
    (folder / f"{REQUEST_ONLY}model.txt").write_bytes(b"spoilt")
    assert not is_whole(folder, "k")
    write(tmp_path / "out", files("k"))
    assert is_whole(tmp_path / "out", "k")


def test_the_key_is_of_the_seed_and_of_the_definitions() -> None:
    assert training_key(1) == training_key(1) != training_key(2)
    assert len(features_fingerprint()) == 64


def test_the_committed_training_gives_a_good_model(tmp_path: Path, catalogue: Catalogue) -> None:
    """Taken from the cache where `weir up` has put it; trained here (15 s) where not."""
    assert main(["--output", str(tmp_path)], os.environ) == 0
    card = load_model(tmp_path, catalogue).card
    assert card.features == tuple(name for name in catalogue.names() if name in set(card.features))
    assert len(card.features) >= 60, "the shops tell that many; addresses, networks and sessions they do not have"
    assert card.metrics["onnx_difference_max"] <= SCORE_TOLERANCE
    figures = card.metrics["test"]
    assert figures["auc_roc"] > 0.98
    assert figures["average_precision"] > 0.9
    assert figures["review_or_decline"]["false_positive_rate"] < 0.01
    assert figures["recall_by_scenario"]["card_testing"]["flagged"] > 0.95
    assert main(["--output", str(tmp_path)], os.environ) == 0
