"""The offline computation of many payments at once: SQL made from the plan, point in time, vectorised by DuckDB.

What a payment saw is what its entities' histories held when it arrived: what came before it and is not later than it. Where that is the same
as what is not later than it (nothing arrived late, and every label in its windows had come), window functions over the time answer: n log n. The
few other payments are joined with what they saw, row by row. The rules are those of `domain/history.py`, by which a property test holds both ways.
Hot entities see the newest `ROWS_KEPT` rows, as online; where something arrived late at one of them, or several rows share the instant of the
oldest, some rows more or less may count. A standard deviation agrees to 1e-9 of the amounts: the sums are the same, in another order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from weir_fraud.domain.aggregate import ROWS_KEPT, Aggregate, Column, Entity, Measure, Which, Window
from weir_fraud.domain.payment import (
    AMOUNT_UNITS,
    DEGREE_UNITS,
    LABEL_FRAUD,
    MICROSECONDS,
    MISSING_AMOUNT,
    MISSING_PLACE,
    Observation,
)

_MEMORY: Final = "4GB"
_THREADS: Final = 2
_FOREVER: Final = 2**62
_NAMES: Final = {"at": "moment"}
"""AT is a word of the language."""


def table_of(observations: Sequence[Observation]) -> pa.Table:
    """Observations in the order of their arrival, as columns; `seq` counts them."""
    columns = {
        _NAMES.get(name, name): pa.array(np.fromiter((row[place] for row in observations), np.int64, len(observations)))
        for place, name in enumerate(Observation._fields)
    }
    return pa.table({"seq": pa.array(np.arange(len(observations), dtype=np.int64)), **columns})


def point_in_time(observations: pa.Table, plan: Sequence[Aggregate], since: int | None = None) -> NDArray[np.float64]:
    """(rows, aggregates) as they were for each arrival, nan where not known; of a repeat, those of the first arrival.

    ``since``: what is earlier (µs) is history only, and has no row in the answer. Bounded in memory: what does not fit goes to a
    temporary file.
    """
    moments = np.asarray(observations["moment"])
    asked = np.ones(len(moments), dtype=bool) if since is None else moments >= since
    row_of = np.cumsum(asked) - 1
    answer = np.full((int(asked.sum()), len(plan)), math.nan)
    with duckdb.connect(config={"memory_limit": _MEMORY, "threads": _THREADS}) as connection:
        connection.register("arrived", observations)
        connection.execute(_FIRST_ARRIVALS)
        for entity in Entity:
            places = [place for place, aggregate in enumerate(plan) if aggregate.entity is entity]
            if not places:
                continue
            own_plan = [plan[place] for place in places]
            connection.execute(_in_order(entity, own_plan))
            for query in (_windows_query, _joined_query):
                found = connection.execute(query(entity, own_plan, since)).fetchnumpy()
                rows = row_of[np.asarray(found.pop("seq"))]
                for column, place in enumerate(places):
                    values = np.ma.asarray(found[f"a{column}"], dtype=np.float64)
                    answer[rows, place] = np.ma.filled(values, math.nan)
        repeated = connection.execute("SELECT seq, first FROM repeated").fetchnumpy()
    repeats = asked[repeated["seq"]]
    answer[row_of[repeated["seq"][repeats]]] = answer[row_of[repeated["first"][repeats]]]
    return answer


_FIRST_ARRIVALS: Final = """
CREATE TABLE o AS SELECT * FROM arrived QUALIFY row_number() OVER (PARTITION BY id, moment ORDER BY seq) = 1;
CREATE TABLE repeated AS SELECT arrived.seq, o.seq AS first FROM arrived JOIN o USING (id, moment) WHERE arrived.seq <> o.seq;
"""


def _in_order(entity: Entity, aggregates: Sequence[Aggregate]) -> str:
    """Table `e`: the payments that have the entity, with `in_order`: whether time alone tells what each of them saw; and `kept`, in µs."""
    fraud = [aggregate.window for aggregate in aggregates if aggregate.which is Which.FRAUD]
    labels = "".join(
        f" AND coalesce(max(label_at) FILTER (label = {LABEL_FRAUD}) OVER {_frame(entity, window)}, 0) <= moment"
        for window in dict.fromkeys(fraud)
    )
    # All of the same instant are peers: of those only the one that arrived last saw the others.
    arrivals = f'(PARTITION BY "{entity}" ORDER BY moment RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)'
    # How far back the rows go that an online history still has.
    kept = f'moment - lag(moment, {ROWS_KEPT}) OVER (PARTITION BY "{entity}" ORDER BY moment, seq)'
    having = f'SELECT *, coalesce({kept}, {_FOREVER}) AS kept FROM o WHERE "{entity}" <> 0'  # noqa: S608 - our own names
    return f"CREATE OR REPLACE TABLE e AS SELECT *, max(seq) OVER {arrivals} = seq{labels} AS in_order FROM ({having})"  # noqa: S608


def _windows_query(_: Entity, aggregates: Sequence[Aggregate], since: int | None) -> str:
    """Columns `seq` and `a0`, `a1`, … of the payments that are in order."""
    selected = ",\n  ".join(f"{_windowed(aggregate)} AS a{place}" for place, aggregate in enumerate(aggregates))
    return f"SELECT seq,\n  {selected}\nFROM e AS own QUALIFY in_order{_asked(since)}"


def _frame(entity: Entity, window: Window, own: bool = True, beside: str | None = None) -> str:
    """The rows of a window of the entity, the payment's own among them or not; only those with its value of a column `beside`."""
    partition = f'"{entity}"' if beside is None else f'"{entity}", "{beside}"'
    oldest, newest = (window.delay + window.seconds) * MICROSECONDS - 1, window.delay * MICROSECONDS
    excluded = "" if own or window.delay else " EXCLUDE CURRENT ROW"
    return f"(PARTITION BY {partition} ORDER BY moment RANGE BETWEEN least({oldest}, kept) PRECEDING AND {newest} PRECEDING{excluded})"


_CHOSEN: Final[dict[Which, str]] = {
    Which.ALL: "true",
    Which.DECLINED: "declined = 1",
    Which.SAME_CURRENCY: f"amount <> {MISSING_AMOUNT}",
    Which.LOCATED: f"latitude <> {MISSING_PLACE}",
    Which.FRAUD: f"label = {LABEL_FRAUD}",
}
"""Beside what the frame says: its rows of one currency, or labels that had come."""


def _windowed(aggregate: Aggregate) -> str:
    chosen = f"FILTER ({_CHOSEN[aggregate.which]})"
    currency = "currency" if aggregate.which is Which.SAME_CURRENCY else None
    frame = _frame(aggregate.entity, aggregate.window, aggregate.own, currency)
    match aggregate.measure:
        case Measure.COUNT:
            return f"count(*) {chosen} OVER {frame}"
        case Measure.SUM:
            return f"CAST(coalesce(sum(amount) {chosen} OVER {frame}, 0) AS DOUBLE) / {AMOUNT_UNITS}"
        case Measure.MEAN:
            number = f"count(*) {chosen} OVER {frame}"
            total = f"CAST(sum(amount) {chosen} OVER {frame} AS DOUBLE)"
            return f"CASE WHEN {number} > 0 THEN {total} / ({number}) / {AMOUNT_UNITS} END"
        case Measure.MAX:
            return f"CAST(max(amount) {chosen} OVER {frame} AS DOUBLE) / {AMOUNT_UNITS}"
        case Measure.DEVIATION:
            return f"stddev_samp(amount) {chosen} OVER {frame} / {AMOUNT_UNITS}"
        case Measure.DISTINCT:
            return f'count(DISTINCT nullif("{_column(aggregate)}", 0)) {chosen} OVER {frame}'
        case Measure.SEEN:
            column = _column(aggregate)
            frame = _frame(aggregate.entity, aggregate.window, aggregate.own, column)
            return f'CASE WHEN "{column}" <> 0 THEN CAST(count(*) {chosen} OVER {frame} > 0 AS INTEGER) END'
        case Measure.SECONDS_SINCE:
            return f"CAST(moment - max(moment) {chosen} OVER {frame} AS DOUBLE) / {MICROSECONDS}"
        case Measure.LATEST_LATITUDE | Measure.LATEST_LONGITUDE:
            return f"CAST(arg_max({_PLACES[aggregate.measure]}, {_LATEST}) {chosen} OVER {frame} AS DOUBLE) / {DEGREE_UNITS}"


_PLACES: Final = {Measure.LATEST_LATITUDE: "latitude", Measure.LATEST_LONGITUDE: "longitude"}
_LATEST: Final = "CAST(moment AS HUGEINT) * 1000000000000 + seq"
"""Of the same instant the one that arrived last."""


def _asked(since: int | None) -> str:
    return "" if since is None else f" AND own.moment >= {since}"


def _joined_query(entity: Entity, aggregates: Sequence[Aggregate], since: int | None) -> str:
    """Columns `seq` and `a0`, `a1`, … of the payments that are not in order."""
    reach = max(aggregate.window.delay + aggregate.window.seconds for aggregate in aggregates) * MICROSECONDS
    selected = ",\n  ".join(f"{_expression(aggregate)} AS a{place}" for place, aggregate in enumerate(aggregates))
    own = ", ".join(f'own."{_NAMES.get(column, column)}"' for column in ("seq", *Observation._fields))
    return (
        f'SELECT own.seq AS seq,\n  {selected}\nFROM e AS own LEFT JOIN e AS other ON other."{entity}" = own."{entity}" '
        f"AND other.seq < own.seq AND other.moment <= own.moment AND other.moment > own.moment - {reach} "
        f"AND other.moment >= own.moment - own.kept\n"
        f"WHERE NOT own.in_order{_asked(since)} GROUP BY {own}"
    )


def _expression(aggregate: Aggregate) -> str:
    chosen = " AND ".join(_conditions(aggregate))
    own = f"CAST({_OWN[aggregate.which]} AS INTEGER)" if aggregate.own else "0"
    column = f'"{_column(aggregate)}"' if aggregate.column is not None else ""
    match aggregate.measure:
        case Measure.COUNT:
            return f"count(other.seq) FILTER ({chosen}) + {own}"
        case Measure.SUM:
            return f"CAST(coalesce(sum(other.amount) FILTER ({chosen}), 0) + {own} * own.amount AS DOUBLE) / {AMOUNT_UNITS}"
        case Measure.MEAN:
            number = f"(count(other.seq) FILTER ({chosen}) + {own})"
            total = f"CAST(coalesce(sum(other.amount) FILTER ({chosen}), 0) + {own} * own.amount AS DOUBLE)"
            return f"CASE WHEN {number} > 0 THEN {total} / {number} / {AMOUNT_UNITS} END"
        case Measure.MAX:
            # greatest passes over what is missing.
            own_amount = f"CASE WHEN {own} = 1 THEN own.amount END"
            return f"CAST(greatest(max(other.amount) FILTER ({chosen}), {own_amount}) AS DOUBLE) / {AMOUNT_UNITS}"
        case Measure.DEVIATION:
            return f"stddev_samp(other.amount) FILTER ({chosen}) / {AMOUNT_UNITS}"
        case Measure.DISTINCT:
            others = f"count(DISTINCT other.{column}) FILTER ({chosen} AND other.{column} <> 0)"
            if not aggregate.own:
                return others
            known = f"coalesce(bool_or(other.{column} = own.{column}) FILTER ({chosen}), false)"
            return f"{others} + CAST(own.{column} <> 0 AND NOT {known} AS INTEGER)"
        case Measure.SEEN:
            seen = f"coalesce(bool_or(other.{column} = own.{column}) FILTER ({chosen}), false)"
            return f"CASE WHEN own.{column} <> 0 THEN CAST({seen} AS INTEGER) END"
        case Measure.SECONDS_SINCE:
            return f"CAST(own.moment - max(other.moment) FILTER ({chosen}) AS DOUBLE) / {MICROSECONDS}"
        case Measure.LATEST_LATITUDE | Measure.LATEST_LONGITUDE:
            when = _LATEST.replace("moment", "other.moment").replace("seq", "other.seq")
            return f"CAST(arg_max(other.{_PLACES[aggregate.measure]}, {when}) FILTER ({chosen}) AS DOUBLE) / {DEGREE_UNITS}"


def _conditions(aggregate: Aggregate) -> Iterator[str]:
    window = aggregate.window
    yield f"other.moment > own.moment - {(window.delay + window.seconds) * MICROSECONDS}"
    if window.delay:
        yield f"other.moment <= own.moment - {window.delay * MICROSECONDS}"
    if aggregate.which is not Which.ALL:
        yield _OTHERS[aggregate.which]


def _column(aggregate: Aggregate) -> Column:
    if aggregate.column is None:
        raise ValueError(f"{aggregate.name} has no column")
    return aggregate.column


_OTHERS: Final[dict[Which, str]] = {
    Which.DECLINED: "other.declined = 1",
    Which.SAME_CURRENCY: f"other.amount <> {MISSING_AMOUNT} AND other.currency = own.currency",
    Which.LOCATED: f"other.latitude <> {MISSING_PLACE}",
    Which.FRAUD: f"other.label = {LABEL_FRAUD} AND other.label_at <= own.moment",
}
_OWN: Final[dict[Which, str]] = {
    Which.ALL: "true",
    Which.DECLINED: "own.declined = 1",
    Which.SAME_CURRENCY: f"own.amount <> {MISSING_AMOUNT}",
    Which.LOCATED: f"own.latitude <> {MISSING_PLACE}",
}
"""Whether the payment itself counts, where it can."""
