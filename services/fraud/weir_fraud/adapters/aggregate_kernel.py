"""The aggregates of a plan over packed histories, compiled: a few microseconds a payment where Python takes milliseconds.

The rules are those of `domain/history.evaluate`; a property test holds the two equal, bit by bit. Compiled by Numba,
once a release (`adapters/kernel_cache.py`; images are built with it), for a plan is data: a new feature needs no new code here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import structlog
from numpy.typing import NDArray

from weir_fraud.adapters.kernel_cache import compiled
from weir_fraud.domain.aggregate import AMOUNT_MEASURES, ROWS_KEPT, Aggregate, Column, Entity, Measure, Which
from weir_fraud.domain.history import Snapshot
from weir_fraud.domain.payment import (
    AMOUNT_UNITS,
    DEGREE_UNITS,
    LABEL_FRAUD,
    MICROSECONDS,
    MISSING_AMOUNT,
    MISSING_PLACE,
    OBSERVATION_BYTES,
    Observation,
    pack,
)

log = structlog.get_logger(__name__)

# What is compiled may come from a disk, where it is kept by this file's contents alone: all constants that it is made with stand in this file.
_SIZE: Final = 86
_NO_AMOUNT: Final = -1
_NO_PLACE: Final = 2**31 - 1
_IS_FRAUD: Final = 2
_AMOUNTS: Final = 10_000
_DEGREES: Final = 100_000
_SECOND: Final = 1_000_000
if (_SIZE, _NO_AMOUNT, _NO_PLACE, _IS_FRAUD, _AMOUNTS, _DEGREES, _SECOND) != (
    OBSERVATION_BYTES,
    MISSING_AMOUNT,
    MISSING_PLACE,
    LABEL_FRAUD,
    AMOUNT_UNITS,
    DEGREE_UNITS,
    MICROSECONDS,
):
    raise ValueError("the compiled kernel has other constants than domain/payment.py")

# What `domain/payment.pack` stores, in its order: bytes, and whether it has a sign.
_WIDTHS: Final = (8, 6, 8, 2, 6, 6, 6, 6, 6, 6, 6, 2, 4, 4, 1, 1, 8)
_COLUMNS: Final = (
    "at",
    "id",
    "amount",
    "currency",
    "user",
    "device",
    "payment_token",
    "address",
    "network",
    "merchant",
    "product",
    "country",
    "latitude",
    "longitude",
    "declined",
    "label",
    "label_at",
)
_PLACE: Final = {name: place for place, name in enumerate(_COLUMNS)}
_OFFSETS: Final = np.cumsum([0, *_WIDTHS]).astype(np.int64)
_SIZES: Final = np.array(_WIDTHS, dtype=np.int64)
_SIGNED: Final = np.array(
    [name in ("at", "amount", "latitude", "longitude", "label_at") for name in _COLUMNS], dtype=np.bool_
)
_WIDTH: Final = len(_COLUMNS)

_EVERY: Final = np.ones(_WIDTH, dtype=np.bool_)
_AT: Final = _PLACE["at"]
_AMOUNT: Final = _PLACE["amount"]
_CURRENCY: Final = _PLACE["currency"]
_LATITUDE: Final = _PLACE["latitude"]
_LONGITUDE: Final = _PLACE["longitude"]
_DECLINED: Final = _PLACE["declined"]
_LABEL: Final = _PLACE["label"]
_LABEL_AT: Final = _PLACE["label_at"]

_COUNT, _SUM, _MEAN, _MAX, _DEVIATION, _DISTINCT, _SEEN, _SINCE, _LAST_LATITUDE, _LAST_LONGITUDE = range(10)
_MEASURES: Final = {
    Measure.COUNT: _COUNT,
    Measure.SUM: _SUM,
    Measure.MEAN: _MEAN,
    Measure.MAX: _MAX,
    Measure.DEVIATION: _DEVIATION,
    Measure.DISTINCT: _DISTINCT,
    Measure.SEEN: _SEEN,
    Measure.SECONDS_SINCE: _SINCE,
    Measure.LATEST_LATITUDE: _LAST_LATITUDE,
    Measure.LATEST_LONGITUDE: _LAST_LONGITUDE,
}
_ALL, _DECLINED_ONES, _SAME_CURRENCY, _LOCATED, _FRAUD = range(5)
_WHICHES: Final = {
    Which.ALL: _ALL,
    Which.DECLINED: _DECLINED_ONES,
    Which.SAME_CURRENCY: _SAME_CURRENCY,
    Which.LOCATED: _LOCATED,
    Which.FRAUD: _FRAUD,
}
_SLOTS: Final = 1_024
"""Of the table of different values: four times as many as rows, so that a free one is near."""
_MIX: Final = 0x9E3779B97F4A7C15 - 2**64
"""2⁶⁴ over the golden ratio (D. Knuth, The Art of Computer Programming 3, 6.4), as a signed number."""


class FromDisk(NamedTuple):
    """Where what is compiled is kept, None: nowhere; how often it was found there in this process, and how often compiled."""

    folder: str | None
    found: int
    compiled: int


def from_disk() -> FromDisk:
    """Of the outermost function, which contains the others."""
    stats: Any = _answers.stats  # type: ignore[attr-defined]
    folder = stats.cache_path
    kept = folder is not None and any(Path(folder).glob(f"{Path(__file__).stem}._answers-*.nbi"))
    return FromDisk(folder if kept else None, sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))


class Kernel:
    """A plan's questions about each entity, as arrays. One payment at a time: it has one place to work in."""

    def __init__(self, plan: Sequence[Aggregate]) -> None:
        questions: list[tuple[int, ...]] = []
        ends = [0]
        columns = np.zeros((len(Entity), _WIDTH), dtype=np.bool_)
        self.reaches: tuple[int, ...] = ()
        """Of each entity, in the order of `Entity`: how far back its longest window goes, in µs; 0 if nothing is asked."""
        for number, entity in enumerate(Entity):
            asked = [(place, aggregate) for place, aggregate in enumerate(plan) if aggregate.entity is entity]
            questions += [_question(place, aggregate) for place, aggregate in asked]
            ends.append(len(questions))
            columns[number, [_AT, *{column for _, aggregate in asked for column in _looked_at(aggregate)}]] = True
            reach = max((one.window.delay + one.window.seconds for _, one in asked), default=0)
            self.reaches += (reach * MICROSECONDS,)
        self._questions = np.array(questions, dtype=np.int64).reshape(len(questions), _QUESTION)
        self._ends = np.array(ends, dtype=np.int64)
        self._columns = columns
        self._out = np.empty(len(plan))
        self._lengths = np.empty(len(Entity), dtype=np.int64)
        self._rows = np.empty((ROWS_KEPT, _WIDTH), dtype=np.int64)
        self._own = np.empty((1, _WIDTH), dtype=np.int64)
        self._values = np.zeros(_SLOTS, dtype=np.int64)
        self._marks = np.zeros(_SLOTS, dtype=np.int64)
        self._mark = np.zeros(1, dtype=np.int64)

    def warm(self) -> None:
        """Compile, if nothing was answered yet in this process: seconds, unless an earlier process or the build left it on the disk."""
        before, began = from_disk(), time.perf_counter()
        nothing = Observation(*(0 for _ in Observation._fields))
        self.answer(pack(nothing), [b""] * len(Entity))
        after = from_disk()
        if after.compiled > before.compiled:
            log.info("the kernel was compiled", seconds=round(time.perf_counter() - began, 2), kept_in=after.folder)

    def answer(self, packed: bytes, histories: Sequence[bytes | None]) -> Snapshot:
        """The values of the plan for a packed payment.

        ``histories``: of each entity, in the order of `Entity`, what its history held up to the payment, oldest first and without it; None for one
        that the payment lacks.
        """
        out, lengths = self._out, self._lengths
        out.fill(math.nan)
        for place, history in enumerate(histories):
            lengths[place] = -1 if history is None else len(history)
        whole = b"".join([packed, *(history for history in histories if history)])
        _answers(
            self._questions,
            self._ends,
            self._columns,
            np.frombuffer(whole, dtype=np.uint8),
            lengths,
            self._own,
            self._rows,
            self._values,
            self._marks,
            self._mark,
            out,
        )
        return tuple(out.tolist())


def _looked_at(aggregate: Aggregate) -> set[int]:
    """The columns of the rows that a question looks at."""
    found = {
        Which.ALL: set[int](),
        Which.DECLINED: {_DECLINED},
        Which.SAME_CURRENCY: {_AMOUNT, _CURRENCY},
        Which.LOCATED: {_LATITUDE},
        Which.FRAUD: {_LABEL, _LABEL_AT},
    }[aggregate.which]
    if aggregate.column is not None:
        found |= {_PLACE[aggregate.column.value]}
    if aggregate.measure is Measure.LATEST_LONGITUDE:
        found |= {_LONGITUDE}
    return found | ({_AMOUNT} if aggregate.measure in AMOUNT_MEASURES else set())


_QUESTION: Final = 7


def _question(place: int, aggregate: Aggregate) -> tuple[int, ...]:
    window = aggregate.window
    column = _PLACE[Column(aggregate.column).value] if aggregate.column is not None else -1
    return (
        place,
        _MEASURES[aggregate.measure],
        _WHICHES[aggregate.which],
        column,
        int(aggregate.own),
        window.delay * MICROSECONDS,
        (window.delay + window.seconds) * MICROSECONDS,
    )


@compiled
def _number(packed: NDArray[np.uint8], at: int, size: int) -> np.int64:
    """A little-endian number. Written out, so that each becomes one load."""
    low = np.int64(packed[at])
    if size == 1:
        return low
    low |= np.int64(packed[at + 1]) << 8
    if size == 2:
        return low
    low |= np.int64(packed[at + 2]) << 16 | np.int64(packed[at + 3]) << 24
    if size == 4:
        return low
    low |= np.int64(packed[at + 4]) << 32 | np.int64(packed[at + 5]) << 40
    if size == 6:
        return low
    return low | np.int64(packed[at + 6]) << 48 | np.int64(packed[at + 7]) << 56


@compiled
def _unpack(packed: NDArray[np.uint8], start: int, count: int, columns: NDArray[np.bool_], rows: NDArray[np.int64]) -> None:  # fmt: skip
    """These columns of packed observations."""
    for column in range(_WIDTH):
        if not columns[column]:
            continue
        size = _SIZES[column]
        wraps = _SIGNED[column] and size == 4
        at = start + _OFFSETS[column]
        for row in range(count):
            value = _number(packed, at + row * _SIZE, size)
            if wraps and value >= 2**31:
                value -= np.int64(2**32)
            rows[row, column] = value


@compiled
def _first_later(rows: NDArray[np.int64], count: int, time: int) -> int:
    """The first row that is later than a time; `count` if none is."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if rows[middle, _AT] > time:
            high = middle
        else:
            low = middle + 1
    return low


@compiled
def _counts(rows: NDArray[np.int64], row: int, own: NDArray[np.int64], which: int) -> bool:
    if which == _ALL:
        return True
    if which == _DECLINED_ONES:
        return bool(rows[row, _DECLINED] == 1)
    if which == _SAME_CURRENCY:
        return bool(rows[row, _AMOUNT] != _NO_AMOUNT and rows[row, _CURRENCY] == own[0, _CURRENCY])
    if which == _LOCATED:
        return bool(rows[row, _LATITUDE] != _NO_PLACE)
    return bool(rows[row, _LABEL] == _IS_FRAUD and rows[row, _LABEL_AT] <= own[0, _AT])


@compiled
def _is_new(value: int, values: NDArray[np.int64], marks: NDArray[np.int64], mark: int) -> bool:
    """Whether the table did not have the value under this mark; it has then."""
    slot = ((value * _MIX) >> 54) & (_SLOTS - 1)
    while marks[slot] == mark:
        if values[slot] == value:
            return False
        slot = (slot + 1) & (_SLOTS - 1)
    marks[slot] = mark
    values[slot] = value
    return True


@compiled
def _answers(
    questions: NDArray[np.int64],
    ends: NDArray[np.int64],
    columns: NDArray[np.bool_],
    packed: NDArray[np.uint8],
    lengths: NDArray[np.int64],
    own: NDArray[np.int64],
    rows: NDArray[np.int64],
    values: NDArray[np.int64],
    marks: NDArray[np.int64],
    mark: NDArray[np.int64],
    out: NDArray[np.float64],
) -> None:
    """The payment, then the histories of the entities that it has, one after the other."""
    _unpack(packed, 0, 1, _EVERY, own)
    start = _SIZE
    for entity in range(len(lengths)):
        if lengths[entity] < 0:
            continue
        if ends[entity] < ends[entity + 1]:
            count = lengths[entity] // _SIZE
            _unpack(packed, start, count, columns[entity], rows)
            _answer(questions[ends[entity] : ends[entity + 1]], count, own, rows, values, marks, mark, out)
        start += lengths[entity]


@compiled
def _answer(
    questions: NDArray[np.int64],
    count: int,
    own: NDArray[np.int64],
    rows: NDArray[np.int64],
    values: NDArray[np.int64],
    marks: NDArray[np.int64],
    mark: NDArray[np.int64],
    out: NDArray[np.float64],
) -> None:
    """One entity's aggregates."""
    for question in range(len(questions)):
        place, measure, which, column, with_own, newest, oldest = questions[question]
        end = _first_later(rows, count, own[0, _AT] - newest)
        start = _first_later(rows, count, own[0, _AT] - oldest)
        own_counts = with_own == 1 and _counts(own, 0, own, which)
        if measure == _COUNT:
            number = 1 if own_counts else 0
            if which == _ALL:
                number += end - start
            else:
                for row in range(start, end):
                    if _counts(rows, row, own, which):
                        number += 1
            out[place] = number
        elif measure in (_SUM, _MEAN):
            number, total = 0, np.int64(0)
            if own_counts:
                number, total = 1, np.int64(own[0, _AMOUNT])
            for row in range(start, end):
                if _counts(rows, row, own, which):
                    number += 1
                    total += rows[row, _AMOUNT]
            if measure == _SUM:
                out[place] = total / _AMOUNTS
            elif number > 0:
                out[place] = total / number / _AMOUNTS
        elif measure == _MAX:
            most = np.int64(-1)
            if own_counts:
                most = own[0, _AMOUNT]
            for row in range(start, end):
                if _counts(rows, row, own, which) and rows[row, _AMOUNT] > most:
                    most = rows[row, _AMOUNT]
            if most >= 0:
                out[place] = most / _AMOUNTS
        elif measure == _DEVIATION:
            number, mean, squares = 0, 0.0, 0.0
            for row in range(end - 1, start - 1, -1):
                if _counts(rows, row, own, which):
                    number += 1
                    step = rows[row, _AMOUNT] - mean
                    mean += step / number
                    squares += step * (rows[row, _AMOUNT] - mean)
            if number > 1:
                out[place] = math.sqrt(squares / (number - 1)) / _AMOUNTS
        elif measure == _DISTINCT:
            mark[0] += 1
            number = 0
            if with_own == 1 and own[0, column] != 0 and _is_new(own[0, column], values, marks, mark[0]):
                number += 1
            for row in range(start, end):
                value = rows[row, column]
                if value != 0 and _counts(rows, row, own, which) and _is_new(value, values, marks, mark[0]):
                    number += 1
            out[place] = number
        elif measure == _SEEN:
            wanted = own[0, column]
            if wanted != 0:
                out[place] = 0
                for row in range(start, end):
                    if rows[row, column] == wanted and _counts(rows, row, own, which):
                        out[place] = 1
                        break
        else:
            for row in range(end - 1, start - 1, -1):
                if _counts(rows, row, own, which):
                    if measure == _SINCE:
                        out[place] = (own[0, _AT] - rows[row, _AT]) / _SECOND
                    elif measure == _LAST_LATITUDE:
                        out[place] = rows[row, _LATITUDE] / _DEGREES
                    else:
                        out[place] = rows[row, _LONGITUDE] / _DEGREES
                    break
