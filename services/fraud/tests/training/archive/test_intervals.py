"""Figures and how far they can be trusted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from weir_fraud.training.archive.intervals import (
    card_days,
    card_precision,
    card_precision_interval,
    found_share,
    interval,
)
from weir_fraud.training.metrics import auc_roc, average_precision


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
        low, high = interval(y, scores, np.arange(number) // 2 + 1, auc_roc, seed=1)
        return low, auc_roc(y, scores), high

    few, many = drawn(400), drawn(20_000)
    for low, value, high in (few, many):
        assert low < value < high
    assert many[2] - many[0] < (few[2] - few[0]) / 3


def test_the_interval_is_the_same_again() -> None:
    y = np.array([0, 1] * 100, np.int8)
    scores = np.random.default_rng(5).normal(size=200) + y
    card = np.arange(200) // 4
    assert interval(y, scores, card, auc_roc, seed=3) == interval(y, scores, card, auc_roc, seed=3)


def a_time_of_cards(
    seed: int, cards: int = 400, days: int = 28
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Days, cards, frauds and scores of payments; a card that is stolen is used for some days and scores high on them."""
    random = np.random.default_rng(seed)
    stolen = np.where(random.random(cards) < 0.3, random.integers(days, size=cards), 99)
    used = np.arange(days)[:, None]
    thief = (stolen <= used) & (used < stolen + 4)
    payments = random.poisson(np.where(thief, 2, 0.5))
    day, card = (np.repeat(column.ravel(), payments.ravel()) for column in np.indices(payments.shape))
    y = thief[day, card].astype(np.int8)
    return day.astype(np.int64), card.astype(np.int64) + 1, y, random.normal(size=len(y)) + 1.5 * y


def looked_at_one_by_one(day: np.ndarray, card: np.ndarray, y: np.ndarray, scores: np.ndarray, reviewed: int) -> float:
    """As the handbook says it, a card at a time."""
    found: set[int] = set()
    shares = []
    for one in np.unique(day):
        mine = np.flatnonzero((day == one) & (card != 0))
        queue: dict[int, bool] = {}
        for row in mine[np.argsort(-scores[mine], kind="stable")]:
            if int(card[row]) not in found:
                queue.setdefault(int(card[row]), False)
        looked_at = list(queue)[:reviewed]
        hit = {number for number in looked_at if y[mine[card[mine] == number]].any()}
        found |= hit
        shares.append(len(hit) / reviewed)
    return float(np.mean(shares))


@pytest.mark.parametrize("seed", range(5))
def test_card_precision_is_what_a_team_that_looks_card_by_card_finds(seed: int) -> None:
    day, card, y, scores = a_time_of_cards(seed)
    card[::17] = 0
    scores = np.round(scores, 1)  # many are equal
    assert card_precision(day, card, y, scores, 10) == pytest.approx(looked_at_one_by_one(day, card, y, scores, 10))


def test_a_card_that_is_drawn_twice_is_two_cards() -> None:
    day, card, y, scores = a_time_of_cards(1, cards=60)
    copies = np.random.default_rng(2).integers(0, 4, size=61)
    rows = np.concatenate([np.flatnonzero(card == number) for number in range(1, 61) for _ in range(copies[number])])
    names = np.concatenate(
        [
            np.full(np.count_nonzero(card == number), 1_000 * number + copy)
            for number in range(1, 61)
            for copy in range(copies[number])
        ]
    )
    in_time = np.argsort(day[rows], kind="stable")
    rows, names = rows[in_time], names[in_time]
    drawn_out = card_precision(day[rows], names, y[rows], scores[rows], 5)
    queue = card_days(day, card, y, scores)
    of_queue = copies[np.unique(card)]
    assert found_share(queue, of_queue.astype(np.int64), 5) == pytest.approx(drawn_out)


def test_the_interval_of_card_precision_holds_what_is_true_as_often_as_it_says() -> None:
    """Many weeks of the same shop: what a week shows on average lies within the interval of about 95 of 100 of them."""
    weeks = [a_time_of_cards(seed, cards=200, days=7) for seed in range(100, 200)]
    truth = float(np.mean([card_precision(*week, reviewed=5) for week in weeks]))
    intervals = [card_precision_interval(*week, seed=1, reviewed=5) for week in weeks]
    holding = sum(low <= truth <= high for low, high in intervals)
    assert holding >= 90


def test_the_interval_of_card_precision_is_narrower_with_more_cards_and_the_same_again() -> None:
    few, many = a_time_of_cards(3, cards=100), a_time_of_cards(3, cards=1_600)
    low, high = card_precision_interval(*few, seed=1, reviewed=2)
    assert low < card_precision(*few, reviewed=2) < high
    wide = high - low
    low, high = card_precision_interval(*many, seed=1, reviewed=32)
    assert high - low < wide / 2
    assert (low, high) == card_precision_interval(*many, seed=1, reviewed=32)


def test_days_on_which_nobody_is_known_count_as_days_without_a_find() -> None:
    assert precision([(0, 1, 1), (1, 0, 1)], [0.9, 0.5], 1) == 0.5


def payments_of_cards(seed: int, cards: int = 150) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frauds, scores and cards; what the model thinks of a card it thinks of all its payments, nearly."""
    random = np.random.default_rng(seed)
    fraudulent = random.random(cards) < 0.2
    payments = 1 + random.poisson(np.where(fraudulent, 8, 4))
    card = np.repeat(np.arange(cards), payments)
    y = (fraudulent[card] & (random.random(len(card)) < 0.8)).astype(np.int8)
    thought = random.normal(size=cards)
    return y, thought[card] + 0.3 * random.normal(size=len(card)) + 1.2 * y, card + 1


@pytest.mark.parametrize("measure", [auc_roc, average_precision])
def test_the_interval_by_cards_holds_what_is_true_as_often_as_it_says(measure: Callable[..., float]) -> None:
    """One by payments does not: those of a card are not so many witnesses."""
    shops = [payments_of_cards(seed) for seed in range(100)]
    truth = float(np.mean([measure(*payments_of_cards(seed)[:2]) for seed in range(1_000, 1_500)]))
    by_cards = [interval(y, scores, card, measure, seed=1) for y, scores, card in shops]
    assert sum(low <= truth <= high for low, high in by_cards) >= 90
    by_payments = [interval(y, scores, np.zeros_like(card), measure, seed=1) for y, scores, card in shops[:40]]
    assert sum(low <= truth <= high for low, high in by_payments) < 32


def test_a_payment_of_nobody_is_a_card_of_its_own() -> None:
    y, scores, card = payments_of_cards(7)
    each_its_own = interval(y, scores, np.arange(len(y)) + 1, auc_roc, seed=1)
    assert interval(y, scores, np.zeros_like(card), auc_roc, seed=1) == pytest.approx(each_its_own, abs=0.02)
    low, high = interval(y, scores, card, auc_roc, seed=1)
    assert high - low > 1.3 * (each_its_own[1] - each_its_own[0])


def test_a_card_is_drawn_with_all_its_payments_or_not_at_all() -> None:
    y, scores, card = payments_of_cards(8, cards=40)
    scores = np.arange(len(y), dtype=np.float64)  # of each payment its number
    of_card = {number: int((card == number).sum()) for number in np.unique(card)}

    def whole_cards(_: np.ndarray, drawn: np.ndarray) -> float:
        places, times = np.unique(drawn.astype(np.int64), return_counts=True)
        for number in np.unique(card[places]):
            mine = times[card[places] == number]
            assert len(mine) == of_card[number], "not all of its payments"
            assert len(set(mine.tolist())) == 1, "some of its payments oftener than others"
        copies = {number: int(times[card[places] == number][0]) for number in np.unique(card[places])}
        assert sum(copies.values()) == len(of_card)
        return 0.0

    assert interval(y, scores, card, whole_cards, seed=2) == (0.0, 0.0)


def test_honest_payments_of_a_stolen_card_alone_are_enough() -> None:
    """A sample of one kind only is left out: nothing can be told apart in it."""
    y = np.array([1, 1, 1, 0], np.int8)
    low, high = interval(y, np.array([0.9, 0.8, 0.7, 0.1]), np.array([1, 2, 3, 3]), auc_roc, seed=1)
    assert low == high == 1
