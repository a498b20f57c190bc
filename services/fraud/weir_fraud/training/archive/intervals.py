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
INTERVALS: Final = f"{LEVEL:.0%} percentile bootstrap by cards (who pays), {RESAMPLES} samples"
"""How, as a model card says it: figures are compared with those of other cards."""
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


def interval(
    y: NDArray[np.int8], scores: Scores, card: NDArray[np.int64], measure: Measured, seed: int
) -> tuple[float, float]:
    """Where a figure of payments lies with 95 %: the percentile bootstrap (B. Efron, 1979) by cards, that is by who pays.

    The payments of a card depend on each other: who stole it pays several times, in the same way, and the model is right or wrong about all of
    them. Drawn one by one they would count as so many witnesses, and the interval would be too narrow. So a card is drawn with all its
    payments or not at all (the cluster bootstrap: A. Davison, D. Hinkley, "Bootstrap methods and their application", 1997, section 3.8;
    C. Field, A. Welsh, "Bootstrapping clustered data", 2007; for the area under the curve of clustered data N. Obuchowski, "Nonparametric analysis
    of clustered ROC curve data", Biometrics 53, 1997, says why and gives a formula that agrees, which average precision has none of). A payment of
    nobody (card 0) depends on no other and is a card of its own.

    Cards with and without frauds are drawn together, as for card precision: how many there are is a part of what might have been, and average
    precision depends on it (drawn apart, its intervals held the truth in 88 of 100 simulated shops). A sample in which there is nothing to tell
    apart, since it has one kind only, is left out. What else is shared (a day, a merchant, one thief with many cards) is not in it.
    """
    random = np.random.default_rng(seed)
    payments, starts = _by_card(card)
    cards = len(starts) - 1
    values = []
    for _ in range(RESAMPLES):
        drawn = _payments_of(random.integers(cards, size=cards), payments, starts)
        if 0 < int(y[drawn].sum()) < len(drawn):
            values.append(measure(y[drawn], scores[drawn]))
    return _percentiles(values)


def _by_card(card: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The payments, card after card, and where each card's begin, with the end."""
    # Nobody is a card of its own each time: below all hashes, which are positive.
    owner = np.where(card == 0, -1 - np.arange(len(card)), card)
    payments = np.argsort(owner, kind="stable")
    _, starts = np.unique(owner[payments], return_index=True)
    return payments, np.append(starts, len(card))


def _payments_of(cards: NDArray[np.int64], payments: NDArray[np.int64], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of the cards drawn, those drawn twice twice."""
    sizes = starts[cards + 1] - starts[cards]
    ends = np.cumsum(sizes)
    place = np.arange(int(ends[-1])) - np.repeat(ends - sizes, sizes)
    of_cards: NDArray[np.int64] = payments[np.repeat(starts[cards], sizes) + place]
    return of_cards


def _percentiles(values: Sequence[float]) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def figures(rows: Rows, scores: Scores, seed: int) -> dict[str, float | tuple[float, float]]:
    """AUC, average precision and card precision of a period, with their intervals."""
    day = rows.at // _DAY
    return {
        "auc_roc": auc_roc(rows.y, scores),
        "auc_roc_95": interval(rows.y, scores, rows.card, auc_roc, seed),
        "average_precision": average_precision(rows.y, scores),
        "average_precision_95": interval(rows.y, scores, rows.card, average_precision, seed),
        "card_precision_100": card_precision(day, rows.card, rows.y, scores),
        "card_precision_100_95": card_precision_interval(day, rows.card, rows.y, scores, seed),
    }
