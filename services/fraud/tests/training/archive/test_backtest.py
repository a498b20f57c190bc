"""Two models on the same payments of an archive in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
from weir_common.ids import TenantId
from weir_fraud.adapters.onnx_model import OnnxModel, open_model
from weir_fraud.cli_backtest import backtest_report, show_backtest
from weir_fraud.domain.catalogue import Catalogue, catalogue_of
from weir_fraud.domain.model import ModelCard
from weir_fraud.domain.outcome import Outcome, outcome_of
from weir_fraud.domain.promotion_gate import Backtest, of_backtest
from weir_fraud.errors import BacktestRefused
from weir_fraud.settings import GateSettings
from weir_fraud.training.archive.backtest import Span, compare, features_of, scores_as_served, seen_before
from weir_fraud.training.archive.recipe import Recipe
from weir_fraud.training.archive.rows import Rows, archived_rows
from weir_fraud.training.archive.train import train_from_rows

START = datetime(2026, 1, 1, tzinfo=UTC)
# Trained on days 5 to 39, compared on days 39 to 53.
RECIPE = Recipe(as_of=START + timedelta(days=46), days=34, validation_days=8, test_days=8, most_trees=40, patience=10)
SPAN = Span(as_of=START + timedelta(days=60), days=14)


def quiet(_: str) -> None:
    """Nobody listens."""


def trained(shop: Any, catalogue: Catalogue, *patterns: str) -> OnnxModel:
    chosen = catalogue_of(catalogue[name] for name in catalogue.names() if name.startswith(patterns))
    rows = archived_rows(shop, TenantId("shop"), shop.known, chosen, RECIPE.since, RECIPE.until)
    return open_model(dict(train_from_rows(rows, chosen, RECIPE, {"data": "archive"}, quiet)), catalogue)


@pytest.fixture(scope="module")
def good(shop: Any, catalogue: Catalogue) -> OnnxModel:
    """Sees what a thief does otherwise."""
    return trained(shop, catalogue, "amount", "user_payment_")


@pytest.fixture(scope="module")
def bad(shop: Any, catalogue: Catalogue) -> OnnxModel:
    """Sees when and where only, which tells nothing."""
    return trained(shop, catalogue, "merchant_payment", "hour_of_day", "weekend", "night")


@pytest.fixture(scope="module")
def rows(shop: Any, catalogue: Catalogue, good: OnnxModel, bad: OnnxModel) -> Rows:
    asked = catalogue_of(catalogue[name] for name in features_of((good, bad), catalogue.names()))
    return archived_rows(shop, TenantId("shop"), shop.known, asked, SPAN.since, SPAN.until)


@pytest.fixture(scope="module")
def backtest(rows: Rows, good: OnnxModel, bad: OnnxModel) -> Backtest:
    return compare(rows, good, bad, SPAN)


def test_both_are_measured_on_the_same_payments(backtest: Backtest, rows: Rows) -> None:
    assert (backtest.payments, backtest.frauds) == (1_400, int(rows.y.sum()))
    assert (backtest.data_from, backtest.data_until) == (START + timedelta(days=39), START + timedelta(days=53))
    assert backtest.data_sha256 == rows.digest
    assert backtest.candidate.auc.low > backtest.champion.auc.high
    assert backtest.candidate.average_precision.low > backtest.champion.average_precision.high
    for figures in (backtest.candidate, backtest.champion):
        for one in (figures.auc, figures.average_precision, figures.card_precision_100):
            assert 0 <= one.low <= one.value <= one.high <= 1


def test_each_model_sees_its_own_features_as_if_they_alone_had_been_computed(
    shop: Any, catalogue: Catalogue, rows: Rows, good: OnnxModel
) -> None:
    own = catalogue_of(catalogue[name] for name in good.card.features)
    alone = archived_rows(shop, TenantId("shop"), shop.known, own, SPAN.since, SPAN.until)
    assert scores_as_served(rows, good).tolist() == good.scores(alone.only(good.card.features).x.tolist())


def test_rates_are_those_of_the_outcomes_at_each_ones_thresholds(
    backtest: Backtest, rows: Rows, good: OnnxModel, bad: OnnxModel
) -> None:
    for figures, model in ((backtest.candidate, good), (backtest.champion, bad)):
        outcomes = [outcome_of(score, model.card.thresholds) for score in scores_as_served(rows, model)]
        assert figures.review_rate == outcomes.count(Outcome.REVIEW) / len(rows)
        assert figures.decline_rate == outcomes.count(Outcome.DECLINE) / len(rows)
    assert backtest.candidate.review_rate > 0


def test_the_same_again_gives_the_same_document(
    backtest: Backtest, rows: Rows, good: OnnxModel, bad: OnnxModel
) -> None:
    assert msgspec.json.encode(compare(rows, good, bad, SPAN)) == msgspec.json.encode(backtest)


def test_the_gate_takes_the_better_one_and_not_the_worse_one(
    backtest: Backtest, rows: Rows, good: OnnxModel, bad: OnnxModel
) -> None:
    bounds = GateSettings(backtest_least_payments=1_000, backtest_least_frauds=20).bounds
    assert all(check.passed for check in of_backtest(backtest, bounds, SPAN.as_of))
    worse = compare(rows, bad, good, SPAN)
    failed = {check.name for check in of_backtest(worse, bounds, SPAN.as_of) if not check.passed}
    assert {"auc_low", "average_precision_low"} <= failed
    young = GateSettings().bounds
    assert {"backtest_payments", "backtest_frauds"} <= {
        check.name for check in of_backtest(backtest, young, SPAN.as_of) if not check.passed
    }


def test_too_few_frauds_say_nothing(rows: Rows, good: OnnxModel, bad: OnnxModel) -> None:
    honest = replace(rows, y=np.where(np.cumsum(rows.y) > 19, 0, rows.y).astype(np.int8))
    with pytest.raises(BacktestRefused, match="are 19 frauds; 20 of each kind are needed"):
        compare(honest, good, bad, SPAN)


def test_days_after_those_of_the_training_are_new_to_a_model(good: OnnxModel) -> None:
    assert RECIPE.until == SPAN.since
    assert seen_before(good.card, SPAN) == []


@pytest.mark.parametrize(("earlier_days", "periods"), [(0.001, ["test"]), (8, ["test"]), (9, ["validation", "test"])])
def test_days_of_the_training_are_not(good: OnnxModel, earlier_days: float, periods: list[str]) -> None:
    span = msgspec.structs.replace(SPAN, as_of=SPAN.as_of - timedelta(days=earlier_days))
    seen = seen_before(good.card, span)
    assert [one.period for one in seen] == periods
    assert seen[0].since == span.since
    assert seen[-1].until == RECIPE.until


def test_a_model_of_synthetic_data_knew_no_day(model_as_served: OnnxModel) -> None:
    assert seen_before(model_as_served.card, SPAN) == []


@pytest.mark.parametrize("training", [{}, {"periods": None}, {"periods": {"train": ["2026-01-01"]}}])
def test_a_card_that_does_not_say_what_it_knew_is_no_evidence(card: ModelCard, training: dict[str, Any]) -> None:
    silent = msgspec.structs.replace(card, training={"data": "archive", **training})
    with pytest.raises(BacktestRefused, match="does not say what it was trained on"):
        seen_before(silent, SPAN)


@pytest.fixture
def card(good: OnnxModel) -> ModelCard:
    return good.card


def test_the_text_has_both_with_their_intervals_and_says_what_is_no_evidence(
    backtest: Backtest, good: OnnxModel, capsys: pytest.CaptureFixture[str]
) -> None:
    bounds = GateSettings().bounds
    checks = list(of_backtest(backtest, bounds, SPAN.as_of))
    span = msgspec.structs.replace(SPAN, as_of=SPAN.as_of - timedelta(days=1))
    show_backtest(backtest, seen_before(good.card, span), checks, {"number": 7})
    shown = capsys.readouterr().out
    auc = backtest.candidate.auc
    assert f"{auc.value:.4f}  ({auc.low:.4f} to {auc.high:.4f})" in shown
    assert backtest.candidate.version in shown
    assert backtest.champion.version in shown
    assert f"in-sample {good.card.version} knew 2026-02-08 00:00 until 2026-02-09 00:00" in shown
    assert "✗ backtest_payments: 1400, bound 10000" in shown
    assert "recorded as number 7" in shown


def test_no_days_that_a_model_knew_pass_in_the_document(backtest: Backtest, good: OnnxModel) -> None:
    bounds = GateSettings(backtest_least_payments=1_000, backtest_least_frauds=20).bounds
    checks = list(of_backtest(backtest, bounds, SPAN.as_of))
    assert backtest_report(backtest, [], checks, None)["passed"] is True
    span = msgspec.structs.replace(SPAN, as_of=SPAN.as_of - timedelta(days=1))
    told = backtest_report(backtest, seen_before(good.card, span), checks, None)
    assert told["passed"] is False
    assert [one["period"] for one in told["in_sample"]] == ["test"]
