"""Figures and how far they can be trusted."""

from __future__ import annotations

import numpy as np
from weir_fraud.training.archive.intervals import card_precision, interval
from weir_fraud.training.metrics import auc_roc


def precision(entries: list[tuple[int, int, int]], scores: list[float], reviewed: int) -> float:
    """(day, card, fraud) each."""
    day, card, fraud = (np.array(column, np.int64) for column in zip(*entries, strict=True))
    return card_precision(day, card, fraud.astype(np.int8), np.array(scores), reviewed)


def test_a_card_that_was_found_is_not_looked_at_again() -> None:
    entries = [(0, 1, 1), (0, 2, 0), (0, 3, 1), (1, 1, 1), (1, 2, 1), (1, 4, 0)]
    # Two a day: first cards 1 and 2, of which 1 had a fraud; then 2 and 4, for 1 is known, of which 2 had one.
    assert precision(entries, [0.9, 0.8, 0.1, 0.9, 0.5, 0.4], 2) == 0.5


def test_a_card_counts_once_a_day_by_its_highest_score() -> None:
    # Card 1 is looked at for its honest payment, and its fraud is found all the same.
    assert precision([(0, 1, 0), (0, 1, 1), (0, 2, 0), (0, 3, 0)], [0.9, 0.1, 0.5, 0.4], 2) == 0.5


def test_a_payment_of_nobody_is_no_card() -> None:
    assert precision([(0, 0, 1), (0, 1, 1)], [0.9, 0.5], 1) == 1


def test_the_interval_holds_the_figure_and_is_narrower_with_more_payments() -> None:
    random = np.random.default_rng(4)

    def drawn(number: int) -> tuple[float, float, float]:
        y = (random.random(number) < 0.1).astype(np.int8)
        scores = random.normal(size=number) + y
        low, high = interval(y, scores, auc_roc, seed=1)
        return low, auc_roc(y, scores), high

    few, many = drawn(400), drawn(20_000)
    for low, value, high in (few, many):
        assert low < value < high
    assert many[2] - many[0] < (few[2] - few[0]) / 3


def test_the_interval_is_the_same_again() -> None:
    y = np.array([0, 1] * 100, np.int8)
    scores = np.random.default_rng(5).normal(size=200) + y
    assert interval(y, scores, auc_roc, seed=3) == interval(y, scores, auc_roc, seed=3)
