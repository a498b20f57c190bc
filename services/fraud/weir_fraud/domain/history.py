"""The offline computation: the same aggregates as the Valkey function makes, over observations in the order of their arrival.

Training, replay and the fake of the feature store use it; a property test holds it equal to Valkey on random streams. The rules
of a history, by which a late or repeated event has one meaning everywhere:

1. An arrival first forgets what is older than `RETENTION_SECONDS` before it, once that is `FORGOTTEN_TOGETHER`. Its own
   time counts for that only up to its acceptance, so that a sender's wrong clock cannot wipe a history.
2. An observation whose id and time the history has is not added again.
3. Otherwise it lands at its own event time, behind those of the same instant that arrived before it.
4. The newest `ROWS_KEPT` stay.
5. Its aggregates are over the others that lie in their windows: a late event does not see what happened after it.
6. A label is put on the observation that it is about, in every history that has it, over an older label. Only what had become
   known by the payment's time counts.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Final

from weir_fraud.domain.aggregate import (
    FORGOTTEN_TOGETHER,
    RETENTION_SECONDS,
    ROWS_KEPT,
    Aggregate,
    Column,
    Entity,
    Measure,
    Which,
    Window,
)
from weir_fraud.domain.payment import (
    AMOUNT_UNITS,
    DEGREE_UNITS,
    LABEL_FRAUD,
    MICROSECONDS,
    MISSING_AMOUNT,
    MISSING_PLACE,
    Known,
    Observation,
    Observed,
)

Snapshot = tuple[float, ...]
"""The values of a plan's aggregates, in its order."""

_time_of = attrgetter("at")


def forget_before(own: Observation) -> int:
    """µs: what is at or before it is forgotten when `own` arrives."""
    return min(own.at, own.received_at) - RETENTION_SECONDS * MICROSECONDS


class History:
    """What is kept of one entity, oldest first."""

    __slots__ = ("rows",)

    def __init__(self) -> None:
        self.rows: list[Observation] = []

    def add(self, own: Observation) -> list[Observation]:
        """Take `own` in; gives the others up to its time, oldest first."""
        rows = self.rows
        forgotten = bisect_right(rows, forget_before(own), key=_time_of)
        if forgotten >= FORGOTTEN_TOGETHER:
            del rows[:forgotten]
        before = [row for row in rows[: bisect_right(rows, own.at, key=_time_of)] if not _is_same(row, own)]
        if not any(_is_same(row, own) for row in rows):
            rows.insert(len(before), own)
            if len(rows) > ROWS_KEPT:
                del rows[0]
        return before

    def label(self, observed: Observed, known: Known) -> bool:
        """Put what became known on the observation, unless it has a later label; False if the history does not have it."""
        for place, row in enumerate(self.rows):
            if row.id == observed.id and row.at == observed.at:
                if row.label_at <= known.at:
                    self.rows[place] = row._replace(label=known.label, label_at=known.at)
                return True
        return False


def _is_same(row: Observation, own: Observation) -> bool:
    return row.id == own.id and row.at == own.at


class Histories:
    """The histories of one tenant's entities, and a plan of aggregates over them."""

    def __init__(self, plan: Sequence[Aggregate]) -> None:
        self._width = len(plan)
        self._plan: dict[Entity, list[tuple[Window, list[tuple[int, Aggregate]]]]] = {}
        for entity in Entity:
            by_window: dict[Window, list[tuple[int, Aggregate]]] = {}
            for place, aggregate in enumerate(plan):
                if aggregate.entity is entity:
                    by_window.setdefault(aggregate.window, []).append((place, aggregate))
            self._plan[entity] = list(by_window.items())
        self._histories: dict[tuple[Entity, int], History] = {}

    def observe(self, own: Observation) -> Snapshot:
        """Add a payment to the histories of its entities; gives the values of the plan as they are for it."""
        values = [math.nan] * self._width
        for entity, by_window in self._plan.items():
            identity = getattr(own, entity)
            if not identity:
                continue
            history = self._histories.get((entity, identity))
            if history is None:
                history = self._histories[(entity, identity)] = History()
            before = history.add(own)
            for window, aggregates in by_window:
                newest = own.at - window.delay * MICROSECONDS
                start = bisect_right(before, newest - window.seconds * MICROSECONDS, key=_time_of)
                end = bisect_right(before, newest, key=_time_of) if window.delay else len(before)
                within = before[start:end]
                for place, aggregate in aggregates:
                    values[place] = evaluate(aggregate, within, own)
        return tuple(values)

    def label(self, observed: Observed, known: Known) -> bool:
        """Put what became known on an observed payment, in every history that has it; False if none has."""
        found = [history.label(observed, known) for history in self._histories.values()]
        return any(found)

    def of_user(self, user: int) -> Sequence[Observation]:
        """What is kept of a user, by its hash; oldest first."""
        history = self._histories.get((Entity.USER, user))
        return () if history is None else tuple(history.rows)


def evaluate(aggregate: Aggregate, others: Sequence[Observation], own: Observation) -> float:
    """One aggregate of the other observations in the window, oldest first, and the payment's own."""
    chosen = _SELECT[aggregate.which](others, own)
    own_amount = own.amount if aggregate.own and own.amount != MISSING_AMOUNT else None
    match aggregate.measure:
        case Measure.COUNT:
            return float(len(chosen) + (len(_SELECT[aggregate.which]((own,), own)) if aggregate.own else 0))
        case Measure.SUM:
            return (sum(row.amount for row in chosen) + (own_amount or 0)) / AMOUNT_UNITS
        case Measure.MEAN:
            amounts = [row.amount for row in chosen] + ([] if own_amount is None else [own_amount])
            return sum(amounts) / len(amounts) / AMOUNT_UNITS if amounts else math.nan
        case Measure.MAX:
            amounts = [row.amount for row in chosen] + ([] if own_amount is None else [own_amount])
            return max(amounts) / AMOUNT_UNITS if amounts else math.nan
        case Measure.DEVIATION:
            return _deviation(chosen)
        case Measure.DISTINCT:
            value_of = _COLUMN[_column(aggregate)]
            values = {value_of(row) for row in chosen}
            if aggregate.own:
                values.add(value_of(own))
            values.discard(0)
            return float(len(values))
        case Measure.SEEN:
            value_of = _COLUMN[_column(aggregate)]
            wanted = value_of(own)
            return float(any(value_of(row) == wanted for row in chosen)) if wanted else math.nan
        case Measure.SECONDS_SINCE:
            return (own.at - chosen[-1].at) / MICROSECONDS if chosen else math.nan
        case Measure.LATEST_LATITUDE:
            return chosen[-1].latitude / DEGREE_UNITS if chosen else math.nan
        case Measure.LATEST_LONGITUDE:
            return chosen[-1].longitude / DEGREE_UNITS if chosen else math.nan


_COLUMN: Final[dict[Column, Callable[[Observation], int]]] = {column: attrgetter(column) for column in Column}

_SELECT: Final[dict[Which, Callable[[Sequence[Observation], Observation], Sequence[Observation]]]] = {
    Which.ALL: lambda rows, _: rows,
    Which.DECLINED: lambda rows, _: [row for row in rows if row.declined],
    Which.SAME_CURRENCY: lambda rows, own: [
        row for row in rows if row.amount != MISSING_AMOUNT and row.currency == own.currency
    ],
    Which.LOCATED: lambda rows, _: [row for row in rows if row.latitude != MISSING_PLACE],
    Which.FRAUD: lambda rows, own: [row for row in rows if row.label == LABEL_FRAUD and row.label_at <= own.at],
}


def _column(aggregate: Aggregate) -> Column:
    if aggregate.column is None:
        raise ValueError(f"{aggregate.name} has no column")
    return aggregate.column


def _deviation(rows: Sequence[Observation]) -> float:
    """Welford's recurrence (Technometrics 4, 1962): stable, one pass, and the same bits wherever it is run in this order."""
    count, mean, squares = 0, 0.0, 0.0
    for row in reversed(rows):
        count += 1
        step = row.amount - mean
        mean += step / count
        squares += step * (row.amount - mean)
    return math.sqrt(squares / (count - 1)) / AMOUNT_UNITS if count > 1 else math.nan
