"""The offline computation of many payments at once: SQL made from the plan, point in time, vectorised by DuckDB.

Each payment is joined with what its entities' histories held when it arrived: what came before it and is not later than it. The rules
are those of `domain/history.py`, by which a property test holds it, but for the two that bound an online history: here nothing is
forgotten, and hot entities do not saturate at `ROWS_KEPT`. `saturated` counts the payments for which that makes a difference. A
standard deviation agrees to 1e-9 of the amounts: the sums are the same, in another order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from weir_fraud.domain.aggregate import ROWS_KEPT, Aggregate, Column, Entity, Measure, Which
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
_NAMES: Final = {"at": "moment"}
"""AT is a word of the language."""


def table_of(observations: Sequence[Observation]) -> pa.Table:
    """Observations in the order of their arrival, as columns; `seq` counts them."""
    columns = {
        _NAMES.get(name, name): pa.array(np.fromiter((row[place] for row in observations), np.int64, len(observations)))
        for place, name in enumerate(Observation._fields)
    }
    return pa.table({"seq": pa.array(np.arange(len(observations), dtype=np.int64)), **columns})


def point_in_time(observations: pa.Table, plan: Sequence[Aggregate]) -> NDArray[np.float64]:
    """(rows, aggregates) as they were for each arrival, nan where not known; of a repeat, those of the first arrival.

    Bounded in memory: what does not fit goes to a temporary file.
    """
    answer = np.full((observations.num_rows, len(plan)), math.nan)
    with duckdb.connect(config={"memory_limit": _MEMORY, "threads": _THREADS}) as connection:
        connection.register("arrived", observations)
        connection.execute(_FIRST_ARRIVALS)
        for entity in Entity:
            places = [place for place, aggregate in enumerate(plan) if aggregate.entity is entity]
            if not places:
                continue
            found = connection.execute(entity_query(entity, [plan[place] for place in places])).fetchnumpy()
            rows = np.asarray(found.pop("seq"))
            for place in places:
                values = found[f"a{places.index(place)}"]
                answer[rows, place] = np.ma.filled(np.ma.asarray(values, dtype=np.float64), math.nan)
        firsts = connection.execute("SELECT seq, first FROM repeated").fetchnumpy()
    answer[firsts["seq"]] = answer[firsts["first"]]
    return answer


def saturated(observations: pa.Table) -> int:
    """Arrivals at a history that holds more than an online one keeps, if nothing is forgotten; too many, never too few."""
    whole = 0
    with duckdb.connect(config={"memory_limit": _MEMORY, "threads": _THREADS}) as connection:
        connection.register("arrived", observations)
        connection.execute(_FIRST_ARRIVALS)
        for entity in Entity:
            row = connection.execute(
                f'SELECT coalesce(sum(n - {ROWS_KEPT}), 0) FROM (SELECT count(*) AS n FROM o WHERE "{entity}" <> 0 GROUP BY "{entity}") '  # noqa: S608 - our own names
                f"WHERE n > {ROWS_KEPT}"
            ).fetchone()
            whole += int(row[0]) if row is not None else 0
    return whole


_FIRST_ARRIVALS: Final = """
CREATE TABLE o AS SELECT * FROM arrived QUALIFY row_number() OVER (PARTITION BY id, moment ORDER BY seq) = 1;
CREATE TABLE repeated AS SELECT arrived.seq, o.seq AS first FROM arrived JOIN o USING (id, moment) WHERE arrived.seq <> o.seq;
"""


def entity_query(entity: Entity, aggregates: Sequence[Aggregate]) -> str:
    """Columns `seq` and `a0`, `a1`, … of every payment that has the entity."""
    reach = max(aggregate.window.delay + aggregate.window.seconds for aggregate in aggregates) * MICROSECONDS
    selected = ",\n  ".join(f"{_expression(aggregate)} AS a{place}" for place, aggregate in enumerate(aggregates))
    own = ", ".join(f'own."{_NAMES.get(column, column)}"' for column in ("seq", *Observation._fields))
    return (
        f'SELECT own.seq AS seq,\n  {selected}\nFROM o AS own LEFT JOIN o AS other ON other."{entity}" = own."{entity}" '
        f"AND other.seq < own.seq AND other.moment <= own.moment AND other.moment > own.moment - {reach}\n"
        f'WHERE own."{entity}" <> 0 GROUP BY {own}'
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
            place = "latitude" if aggregate.measure is Measure.LATEST_LATITUDE else "longitude"
            # Of the same instant the one that arrived last.
            when = "CAST(other.moment AS HUGEINT) * 1000000000000 + other.seq"
            return f"CAST(arg_max(other.{place}, {when}) FILTER ({chosen}) AS DOUBLE) / {DEGREE_UNITS}"


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
