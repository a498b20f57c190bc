"""How good scores are, and how far that can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from weir_fraud.domain.payment import MICROSECONDS
from weir_fraud.training.archive.rows import Rows
from weir_fraud.training.metrics import auc_roc, average_precision

RESAMPLES: Final = 200
LEVEL: Final = 0.95
REVIEWED: Final = 100
"""Cards a day."""
_DAY: Final = 86_400 * MICROSECONDS

Scores = NDArray[np.float64]
Measured = Callable[[NDArray[np.int8], Scores], float]


class CardDays(NamedTuple):
    """What a queue of cards is made of: one entry for each card and day with a payment, day after day, the most suspicious card first."""

    starts: NDArray[np.int64]
    """Of each day, and the end."""
    card: NDArray[np.int64]
    """Numbered from 0."""
    fraud: NDArray[np.bool_]
    """Whether one of the card's payments of that day was."""
    cards: int


def card_days(day: NDArray[np.int64], card: NDArray[np.int64], y: NDArray[np.int8], scores: Scores) -> CardDays:
    """A card stands where its highest score of the day puts it; a payment of nobody (card 0) is left out."""
    known = np.flatnonzero(card != 0)
    # Of equal scores the earlier row first, as a queue would have them.
    ranked = known[np.lexsort((known, -scores[known], day[known]))]
    names, number = np.unique(card[ranked], return_inverse=True)
    days = np.unique(day)
    of_day = np.searchsorted(days, day[ranked])
    pair = of_day * max(len(names), 1) + number
    _, first, which = np.unique(pair, return_index=True, return_inverse=True)
    fraud = np.zeros(len(first), dtype=np.bool_)
    np.logical_or.at(fraud, which, y[ranked] == 1)
    order = np.argsort(first)
    kept = first[order]
    return CardDays(
        starts=np.searchsorted(of_day[kept], np.arange(len(days) + 1)).astype(np.int64),
        card=number[kept].astype(np.int64),
        fraud=fraud[order],
        cards=len(names),
    )


def found_share(queue: CardDays, copies: NDArray[np.int64], reviewed: int) -> float:
    """Card precision where each card is there so many times: a copy is looked at, and found, apart from the others."""
    left = copies.copy()
    shares: list[float] = []
    for start, end in pairwise(queue.starts.tolist()):
        cards, fraud = queue.card[start:end], queue.fraud[start:end]
        waiting = left[cards]
        room = reviewed - (np.cumsum(waiting) - waiting)
        looked_at = np.clip(room, 0, waiting)
        hits = np.where(fraud, looked_at, 0)
        left[cards] -= hits
        shares.append(float(hits.sum()) / reviewed)
    return float(np.mean(shares)) if shares else float("nan")


def card_precision(
    day: NDArray[np.int64],
    card: NDArray[np.int64],
    y: NDArray[np.int8],
    scores: Scores,
    reviewed: int = REVIEWED,
) -> float:
    """Of the cards that a team could look at each day, the share that had a fraud that day; the mean over the days.

    Each day the cards are ranked by their highest score; those that were found on an earlier day are left out; the first ``reviewed``
    are looked at (card precision top-k of the Fraud Detection Handbook, 2022). A payment of nobody (card 0) is left out.
    """
    queue = card_days(day, card, y, scores)
    return found_share(queue, np.ones(queue.cards, dtype=np.int64), reviewed)


def card_precision_interval(
    day: NDArray[np.int64],
    card: NDArray[np.int64],
    y: NDArray[np.int8],
    scores: Scores,
    seed: int,
    reviewed: int = REVIEWED,
) -> tuple[float, float]:
    """Where card precision lies with 95 %: the percentile bootstrap by cards.

    A card is drawn with all its days or not at all (the cluster bootstrap: A. Davison, D. Hinkley, "Bootstrap methods and their application",
    1997, section 3.8; C. Field, A. Welsh, "Bootstrapping clustered data", 2007): its payments depend on each other, and that a card which was
    found is not looked at again is made anew in each sample. Days would be the other choice: there are too few of them for percentiles to be
    true, and they are not independent, since what is found on one is missing on the next. Cards with and without frauds are drawn
    together: the figure needs none, and how many there are is a part of what it might have been.
    """
    queue = card_days(day, card, y, scores)
    random = np.random.default_rng(seed)
    values = []
    for _ in range(RESAMPLES):
        copies = np.bincount(random.integers(max(queue.cards, 1), size=queue.cards), minlength=queue.cards)
        values.append(found_share(queue, copies, reviewed))
    return _percentiles(values)


def interval(y: NDArray[np.int8], scores: Scores, measure: Measured, seed: int) -> tuple[float, float]:
    """Where a figure lies with 95 %: the percentile bootstrap (B. Efron, 1979), frauds and honest payments drawn apart.

    Drawn apart, no sample is without frauds, and their number, which the figure depends on, stays.
    """
    random = np.random.default_rng(seed)
    frauds, honest = np.flatnonzero(y == 1), np.flatnonzero(y == 0)
    values = []
    for _ in range(RESAMPLES):
        drawn = np.concatenate([random.choice(frauds, len(frauds)), random.choice(honest, len(honest))])
        values.append(measure(y[drawn], scores[drawn]))
    return _percentiles(values)


def _percentiles(values: Sequence[float]) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def figures(rows: Rows, scores: Scores, seed: int) -> dict[str, float | tuple[float, float]]:
    """AUC, average precision and card precision of a period, with their intervals."""
    day = rows.at // _DAY
    return {
        "auc_roc": auc_roc(rows.y, scores),
        "auc_roc_95": interval(rows.y, scores, auc_roc, seed),
        "average_precision": average_precision(rows.y, scores),
        "average_precision_95": interval(rows.y, scores, average_precision, seed),
        "card_precision_100": card_precision(day, rows.card, rows.y, scores),
        "card_precision_100_95": card_precision_interval(day, rows.card, rows.y, scores, seed),
    }
