"""The handbook's protocol of evaluation: a week to learn from, a week in which labels are waited for, a week to be measured on.

Source: the Fraud Detection Handbook (see `published.py`), chapters "Baseline fraud detection system" and "Model selection". Four folds, a
week apart. A card that is known to be compromised when a day begins is left out of it: there is nothing to be found any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from weir_fraud.training.archive.intervals import card_precision
from weir_fraud.training.metrics import auc_roc, average_precision

from weir_bench.handbook.published import DAY_SECONDS, Transactions

FIRST_TRAINING_DAY: Final = 115
"""2018-07-25."""
FOLDS: Final = 4
WEEK: Final = 7

_AT_A_TERMINAL: Final = 2
_COMPROMISED_DAYS: Final = 28

PUBLISHED: Final = {
    "logistic regression": (0.871, 0.606, 0.291),
    "decision tree, depth 2": (0.763, 0.496, 0.241),
    "decision tree, unlimited": (0.788, 0.309, 0.243),
    "random forest": (0.867, 0.658, 0.287),
    "XGBoost": (0.862, 0.639, 0.273),
}
"""AUC ROC, average precision, card precision@100 of the first fold, as published."""
BEST_PUBLISHED: Final = (0.879, 0.694, 0.305)
"""Means of the four folds after tuning: the best of each measure, by three different models."""


@dataclass(frozen=True)
class Fold:
    """Days counted from the data's first."""

    number: int

    @property
    def training_day(self) -> int:
        """The first of the week that the protocol learns from; more of the past may be used."""
        return FIRST_TRAINING_DAY + WEEK * self.number

    @property
    def training_end(self) -> int:
        return self.training_day + WEEK

    @property
    def test_day(self) -> int:
        """The first that is measured; of it, every label that is used is at least a week old."""
        return self.training_end + WEEK

    @property
    def test_end(self) -> int:
        return self.test_day + WEEK


def folds() -> list[Fold]:
    return [Fold(number) for number in range(FOLDS)]


def measured_rows(data: Transactions, fold: Fold) -> NDArray[np.int64]:
    """Rows of the test week without the cards that are known to be compromised on their day.

    Those are the cards of frauds of the training week, and of frauds up to a week before the day.
    """
    day = data.seconds // DAY_SECONDS
    fraud = data.frauds == 1
    kept = []
    for tested in range(fold.test_day, fold.test_end):
        known = np.unique(data.customers[fraud & (day >= fold.training_day) & (day < tested - WEEK)])
        rows = np.flatnonzero(day == tested)
        kept.append(rows[~np.isin(data.customers[rows], known)])
    return np.concatenate(kept)


def figures(data: Transactions, rows: NDArray[np.int64], scores: NDArray[np.float64]) -> tuple[float, float, float]:
    """AUC ROC, average precision, card precision@100."""
    y = data.frauds[rows].astype(np.int8)
    day, cards = data.seconds[rows] // DAY_SECONDS, data.customers[rows] + 1
    return auc_roc(y, scores), average_precision(y, scores), card_precision(day, cards, y, scores)


def expected_ceiling(data: Transactions, rows: NDArray[np.int64]) -> tuple[float, float]:
    """The AUC and the average precision that the best model can expect on these rows, of labels that are a week old.

    A terminal that is compromised (scenario 2) makes every payment a fraud, whose amount, card and time are drawn as those of an honest one.
    Where no fraud of it is known yet, nothing tells the payment from an honest one: it scores higher than one in half of the cases.
    All others are taken to be told apart perfectly. AUC: 1 less half of the share of such frauds. Average precision: at most the
    share of the others, and what chance adds is below the share of frauds.
    """
    at, terminals = data.seconds, data.terminals
    compromised = np.flatnonzero(data.scenarios == _AT_A_TERMINAL)
    frauds = rows[data.frauds[rows] == 1]
    unknown = 0
    for row in frauds[data.scenarios[frauds] == _AT_A_TERMINAL]:
        before = compromised[terminals[compromised] == terminals[row]]
        ages = at[row] - at[before]
        unknown += not ((ages >= WEEK * DAY_SECONDS) & (ages < (WEEK + _COMPROMISED_DAYS) * DAY_SECONDS)).any()
    share = unknown / len(frauds)
    return 1 - share / 2, 1 - share + len(frauds) / len(rows)
