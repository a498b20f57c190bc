"""The handbook's protocol on a few payments by hand."""

from __future__ import annotations

import numpy as np
import pytest
from weir_bench.handbook.protocol import Fold, expected_ceiling, figures, folds, measured_rows
from weir_bench.handbook.published import DAY_SECONDS, Transactions

FOLD = Fold(0)


def transactions(rows: list[tuple[int, int, int, int]]) -> Transactions:
    """(day, card, terminal, scenario) each; scenario 0 is honest."""
    day, card, terminal, scenario = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    return Transactions(
        ids=np.arange(len(rows)),
        seconds=day * DAY_SECONDS + np.arange(len(rows)),
        customers=card,
        terminals=terminal,
        amounts=("1.00",) * len(rows),
        frauds=(scenario > 0).astype(np.int64),
        scenarios=scenario,
    )


def test_folds_are_weeks_with_a_week_of_waiting_before_what_is_measured() -> None:
    assert [(fold.training_day, fold.training_end, fold.test_day, fold.test_end) for fold in folds()] == [
        (115, 122, 129, 136),
        (122, 129, 136, 143),
        (129, 136, 143, 150),
        (136, 143, 150, 157),
    ]


def test_a_card_that_is_known_when_a_day_begins_is_left_out_of_it() -> None:
    data = transactions(
        [
            (114, 1, 9, 1),  # before the training week: not looked at
            (115, 2, 9, 1),  # in the training week
            (122, 3, 9, 1),  # known from day 130 on: a week has passed
            (129, 1, 9, 0),
            (129, 2, 9, 0),
            (129, 3, 9, 0),
            (130, 3, 9, 0),
            (135, 4, 9, 1),
            (136, 1, 9, 0),
        ]
    )
    assert measured_rows(data, FOLD).tolist() == [3, 5, 7]


def test_the_ceiling_takes_frauds_at_unknown_terminals_for_honest_ones() -> None:
    data = transactions(
        [
            (90, 1, 5, 2),  # too long ago: the terminal's 28 days are over
            (121, 2, 6, 2),  # known on day 129
            (127, 3, 7, 2),  # not yet
            (129, 4, 5, 2),
            (129, 5, 6, 2),
            (129, 6, 7, 2),
            (129, 7, 8, 3),
            (129, 8, 8, 0),
        ]
    )
    auc, precision = expected_ceiling(data, np.arange(3, 8))
    assert auc == pytest.approx(1 - (2 / 4) / 2)
    assert precision == pytest.approx(1 - 2 / 4 + 4 / 5)


def test_perfect_scores_are_perfect() -> None:
    data = transactions([(129, card, 1, int(card <= 2)) for card in range(1, 200)])
    rows = np.arange(len(data))
    auc, precision, cards = figures(data, rows, data.frauds.astype(np.float64))
    assert (auc, precision, cards) == (1.0, 1.0, 0.02)
