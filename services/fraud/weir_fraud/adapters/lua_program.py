"""The Valkey functions, made from a plan of aggregates. Their rules are those of `domain/history.py`; a property test holds them equal.

A history is one string of packed observations (`domain/payment.pack`), oldest first: a fifth of the memory of a sorted set, read
by one command, appended to by one. Its rows are in order of time, so that the edges of a window are found by halving, a count is
a difference of two places, and the rows are walked once, of which only the columns are unpacked that a question looks at. The library's name carries a
digest of its text, so that two releases of the service can run side by side, each with its own plan, on the same histories.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from weir_fraud.domain.aggregate import (
    DAY_SECONDS,
    FORGOTTEN_TOGETHER,
    ROWS_KEPT,
    Aggregate,
    Column,
    Entity,
    Measure,
    Which,
)
from weir_fraud.domain.payment import (
    AMOUNT_UNITS,
    DEGREE_UNITS,
    LABEL_FRAUD,
    MICROSECONDS,
    MISSING_PLACE,
    OBSERVATION_BYTES,
)

ENTITIES: Final = tuple(Entity)
"""In the order of the keys."""

_SLACK_ROWS: Final = 64
"""Rows over `ROWS_KEPT` stay, unread, until there are so many that rewriting the string pays."""

_FORMATS: Final = {
    "at": "i8",
    "id": "I6",
    "amount": "i8",
    "currency": "I2",
    "user": "I6",
    "device": "I6",
    "payment_token": "I6",
    "address": "I6",
    "network": "I6",
    "merchant": "I6",
    "product": "I6",
    "country": "I2",
    "latitude": "i4",
    "longitude": "i4",
    "declined": "B",
    "label": "B",
    "label_at": "i8",
}
"""Of the columns of a packed observation, in their order."""


@dataclass(frozen=True, slots=True)
class LuaProgram:
    """A function library: its text and the names of its functions.

    `observe` is called with keys (snapshot, then one an entity) and arguments (packed observation, time before which is forgotten in µs,
    TTL of histories and TTL of the snapshot in ms). `replay` takes many payments: keys (one an entity, for each payment), arguments
    (TTL of histories, then observation and time for each); it keeps no snapshots. The key of an entity that the payment lacks is not
    touched. Both give one little-endian double for each aggregate of the plan, for each payment. `label` is called with the keys of the
    entities and (packed time and id, label, packed time of the label); it gives in how many histories the observation was.
    """

    name: str
    observe: str
    replay: str
    label: str
    source: str


def lua_program(plan: Sequence[Aggregate]) -> LuaProgram:
    """The program of a plan; the same plan gives the same text."""
    # Without a question about it (a plan may have none at all), an entity's history is still kept.
    body = "\n".join([_preamble(), *(_entity(entity, plan) for entity in ENTITIES), _all(len(plan)), _LABEL])
    name = f"weir_fraud_{blake2b(body.encode(), digest_size=8).hexdigest()}"
    observe, replay, label = (f"{name}_{function}" for function in ("observe", "replay", "label"))
    registered = "\n".join(
        f"server.register_function('{function}', {local})"
        for function, local in ((observe, "observe"), (replay, "replay"), (label, "label"))
    )
    return LuaProgram(name, observe, replay, label, f"#!lua name={name}\n{body}\n{registered}\n")


_OWN: Final = ", ".join(f"own_{column}" for column in _FORMATS)


def _preamble() -> str:
    places, at = [], 1
    for column, form in _FORMATS.items():
        places.append(f"local {column.upper()} = {at - OBSERVATION_BYTES}")
        at += {"B": 1, "I2": 2, "i4": 4, "I6": 6, "i8": 8}[form]
    if at != OBSERVATION_BYTES + 1:
        raise ValueError(f"the columns take {at - 1} bytes, an observation {OBSERVATION_BYTES}")
    return "\n".join(
        [
            f"local ROW = '<{''.join(_FORMATS.values())}'",
            f"local SIZE = {OBSERVATION_BYTES}",
            f"local KEPT = {ROWS_KEPT}",
            f"local SLACK = {_SLACK_ROWS}",
            f"local TOGETHER = {FORGOTTEN_TOGETHER}",
            "local NAN = 0/0",
            f"local DAY = {DAY_SECONDS * MICROSECONDS}",
            "-- struct.unpack, which is not there yet when the library is loaded.",
            "local read",
            "-- Where the columns of row 0 would stand.",
            *places,
            _SEARCH,
        ]
    )


_SEARCH: Final = """
-- The first of the rows low to high that is later than a time; high + 1 if none is.
local function later(blob, low, high, time)
  while low <= high do
    local middle = math.floor((low + high) / 2)
    if read('<i8', blob, AT + middle * SIZE) > time then high = middle - 1 else low = middle + 1 end
  end
  return low
end
"""

_ENTITY: Final = """
local function {entity}_history(out, base, key, row, forget_before, ttl, {own})
  local blob = redis.call('GET', key) or ''
  local count = #blob / SIZE
  local first = 1
  if count >= TOGETHER and read('<i8', blob, AT + TOGETHER * SIZE) <= forget_before then
    first = later(blob, TOGETHER + 1, count, forget_before)
  end
  local forgotten = first - 1
  if count - first + 1 > KEPT then first = count - KEPT + 1 end
  local place = count + 1
  while place > first and read('<i8', blob, AT + (place - 1) * SIZE) > own_at do place = place - 1 end
  local known = place - 1
  while known >= first do
    local at, id = read('<i8I6', blob, AT + known * SIZE)
    if at ~= own_at then known = first - 1 elseif id == own_id then break else known = known - 1 end
  end
  local whole = blob
  local last = place - 1
  if known >= first then
    blob = string.sub(blob, 1, (known - 1) * SIZE) .. string.sub(blob, known * SIZE + 1)
    last = last - 1
  end
{aggregates}
  if known >= first then
    if forgotten > 0 then redis.call('SET', key, string.sub(whole, forgotten * SIZE + 1), 'PX', ttl) end
    return
  end
  local added = not (place == first and count - first + 1 >= KEPT)
  if not added and forgotten == 0 then return end
  if added and place == count + 1 and forgotten == 0 and count < KEPT + SLACK then
    if count == 0 then
      redis.call('SET', key, row, 'PX', ttl)
    else
      redis.call('APPEND', key, row)
      -- Put off once a day of event time: each time would be one more command to log and to replicate.
      if math.floor(own_at / DAY) ~= math.floor(read('<i8', blob, AT + count * SIZE) / DAY) then redis.call('PEXPIRE', key, ttl) end
    end
    return
  end
  local before = string.sub(blob, (first - 1) * SIZE + 1, (place - 1) * SIZE)
  blob = before .. (added and row or '') .. string.sub(blob, (place - 1) * SIZE + 1)
  if blob == '' then redis.call('DEL', key) else redis.call('SET', key, blob, 'PX', ttl) end
end
"""

_ALL: Final = """
local function histories(out, base, keys, at, row, forget_before, ttl)
  local {own} = read(ROW, row)
  for index = base + 1, base + {width} do out[index] = NAN end
{calls}
end

local function packed(out, count)
  local parts = {{}}
  -- Lua puts some thousands of values on its stack, not more.
  for from = 1, count, 1000 do
    local to = math.min(from + 999, count)
    parts[#parts + 1] = struct.pack('<' .. string.rep('d', to - from + 1), unpack(out, from, to))
  end
  return table.concat(parts)
end

local function observe(keys, args)
  local snapshot = redis.call('GET', keys[1])
  if snapshot then return snapshot end
  read = struct.unpack
  local out = {{}}
  histories(out, 0, keys, 1, args[1], tonumber(args[2]), args[3])
  snapshot = packed(out, {width})
  redis.call('SET', keys[1], snapshot, 'PX', args[4])
  return snapshot
end

local function replay(keys, args)
  read = struct.unpack
  local out = {{}}
  local count = #keys / {entities}
  for payment = 0, count - 1 do
    histories(out, payment * {width}, keys, payment * {entities}, args[2 * payment + 2], tonumber(args[2 * payment + 3]), args[1])
  end
  return packed(out, count * {width})
end
"""

_LABEL: Final = """
local function label(keys, args)
  read = struct.unpack
  local own_at, own_id = read('<i8I6', args[1])
  local label_at = read('<i8', args[3])
  local found = 0
  for index = 1, #keys do
    local blob = redis.call('GET', keys[index]) or ''
    local row = later(blob, 1, #blob / SIZE, own_at) - 1
    while row >= 1 do
      local at, id = read('<i8I6', blob, AT + row * SIZE)
      if at ~= own_at then break end
      if id == own_id then
        if read('<i8', blob, LABEL_AT + row * SIZE) <= label_at then
          redis.call('SETRANGE', keys[index], LABEL + row * SIZE - 1, string.char(tonumber(args[2])) .. args[3])
        end
        found = found + 1
        break
      end
      row = row - 1
    end
  end
  return found
end
"""


def _all(width: int) -> str:
    calls = [
        f"if own_{entity} ~= 0 then {entity}_history(out, base, keys[at + {index}], row, forget_before, ttl, {_OWN}) end"
        for index, entity in enumerate(ENTITIES, start=1)
    ]
    return _ALL.format(width=width, own=_OWN, entities=len(ENTITIES), calls=_indented(calls, 2))


def _entity(entity: Entity, plan: Sequence[Aggregate]) -> str:
    """The rows are walked once, from the newest outwards, edge by edge of the windows: at each edge what is known is answered."""
    asked: dict[tuple[Measure, Which, Column | None, bool, int], dict[int, list[int]]] = {}
    for place, aggregate in enumerate(plan, start=1):
        if aggregate.entity is entity:
            window = aggregate.window
            what = (aggregate.measure, aggregate.which, aggregate.column, aggregate.own, window.delay)
            asked.setdefault(what, {}).setdefault(window.delay + window.seconds, []).append(place)
    questions = [_question(number, *what, answers) for number, (what, answers) in enumerate(asked.items(), 1)]
    edges = sorted({edge for question in questions for edge in (question.newest, *question.answers)})
    lines: list[str] = []
    # later_N: the first row that is later than N seconds before the payment.
    high = "last"
    for seconds in edges:
        if seconds == 0:
            lines.append("local later_0 = last + 1")
        else:
            lines.append(f"local later_{seconds} = later(blob, first, {high}, own_at - {seconds * MICROSECONDS})")
        high = f"later_{seconds} - 1"
    lines += [line for question in questions for line in question.begin]
    for newest, oldest in itertools.pairwise(edges):
        lines += _stretch(questions, newest, oldest)
        for question in questions:
            answer = question.answer(newest=f"later_{question.newest}", oldest=f"later_{oldest}")
            lines += [f"out[base + {place}] = {answer}" for place in question.answers.get(oldest, ())]
    return _ENTITY.format(entity=entity, own=_OWN, aggregates=_indented(lines, 2))


def _stretch(questions: Sequence[_Question], newest: int, oldest: int) -> list[str]:
    """The rows between two edges, for the questions that have them in their widest window."""
    among = [one for one in questions if one.each and one.newest <= newest and max(one.answers) >= oldest]
    if not among:
        return []
    columns = dict.fromkeys(column for question in among for column in question.columns)
    by_condition: dict[str, list[str]] = {}
    for question in among:
        by_condition.setdefault(question.condition, []).append(question.each)
    lines = [f"for index = later_{newest} - 1, later_{oldest}, -1 do"]
    lines += [f"  {line}" for line in _reads(list(columns))]
    for condition, steps in by_condition.items():
        lines += [f"  if {condition} then {'; '.join(steps)} end"] if condition else [f"  {step}" for step in steps]
    return [*lines, "end"]


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked of the same rows over some windows, answered together."""

    newest: int
    """Seconds before the payment at which all of its windows end."""
    answers: Mapping[int, Sequence[int]]
    """Seconds before the payment at which a window begins, and the places of its aggregates."""
    begin: Sequence[str]
    columns: Sequence[str]
    condition: str
    each: str
    """What a row that counts does; nothing where the edges alone tell."""
    value: str
    """The answer; `{newest}` and `{oldest}` are the rows at the window's edges."""

    def answer(self, newest: str, oldest: str) -> str:
        return self.value.format(newest=newest, oldest=oldest)


def _question(
    number: int,
    measure: Measure,
    which: Which,
    column: Column | None,
    own: bool,
    delay: int,
    answers: Mapping[int, Sequence[int]],
) -> _Question:
    if measure is Measure.COUNT and which is Which.ALL:
        return _Question(delay, answers, (), (), "", "", "{newest} - {oldest}" + (" + 1" if own else ""))
    begin, columns, each, value = _MEASURES[measure](str(number), _OWN_SELECTS[which] if own else "false", column)
    looked_at, condition = _SELECTS[which]
    return _Question(delay, answers, begin, (*looked_at, *columns), condition, each, value)


def _reads(columns: Sequence[str]) -> list[str]:
    """Neighbouring columns by one call."""
    order = list(_FORMATS)
    runs: list[list[str]] = []
    for column in sorted(columns, key=order.index):
        if runs and order.index(column) == order.index(runs[-1][-1]) + 1:
            runs[-1].append(column)
        else:
            runs.append([column])
    return [
        f"local {', '.join(run)} = read('<{''.join(_FORMATS[column] for column in run)}', blob, {run[0].upper()} + index * SIZE)"
        for run in runs
    ]


_SELECTS: Final[dict[Which, tuple[tuple[str, ...], str]]] = {
    Which.ALL: ((), ""),
    Which.DECLINED: (("declined",), "declined == 1"),
    Which.SAME_CURRENCY: (("amount", "currency"), "amount >= 0 and currency == own_currency"),
    Which.LOCATED: (("latitude",), f"latitude ~= {MISSING_PLACE}"),
    Which.FRAUD: (("label", "label_at"), f"label == {LABEL_FRAUD} and label_at <= own_at"),
}
"""The columns that are looked at, and the condition."""

_OWN_SELECTS: Final[dict[Which, str]] = {
    Which.ALL: "true",
    Which.DECLINED: "own_declined == 1",
    Which.SAME_CURRENCY: "own_amount >= 0",
    Which.LOCATED: f"own_latitude ~= {MISSING_PLACE}",
}

_Steps = tuple[list[str], Sequence[str], str, str]
"""Lua before the rows, the columns that it reads, what it does for a row that counts, and the answer after them.

The first argument of what makes them is a number that is part of all local names: the questions about an entity share a function.
"""


def _count(n: str, own: str, _: Column | None) -> _Steps:
    return [f"local value{n} = ({own}) and 1 or 0"], (), f"value{n} = value{n} + 1", f"value{n}"


def _sum(n: str, own: str, _: Column | None) -> _Steps:
    return (
        [f"local value{n} = ({own}) and own_amount or 0"],
        ("amount",),
        f"value{n} = value{n} + amount",
        f"value{n} / {AMOUNT_UNITS}",
    )


def _mean(n: str, own: str, _: Column | None) -> _Steps:
    return (
        [f"local value{n}, number{n} = 0, 0", f"if {own} then value{n}, number{n} = own_amount, 1 end"],
        ("amount",),
        f"value{n} = value{n} + amount; number{n} = number{n} + 1",
        f"number{n} > 0 and value{n} / number{n} / {AMOUNT_UNITS} or NAN",
    )


def _max(n: str, own: str, _: Column | None) -> _Steps:
    return (
        [f"local value{n} = ({own}) and own_amount or -1"],
        ("amount",),
        f"if amount > value{n} then value{n} = amount end",
        f"value{n} >= 0 and value{n} / {AMOUNT_UNITS} or NAN",
    )


def _deviation(n: str, _: str, __: Column | None) -> _Steps:
    return (
        [f"local number{n}, mean{n}, squares{n} = 0, 0, 0"],
        ("amount",),
        f"number{n} = number{n} + 1; local step{n} = amount - mean{n}; mean{n} = mean{n} + step{n} / number{n}; "
        f"squares{n} = squares{n} + step{n} * (amount - mean{n})",
        f"number{n} > 1 and math.sqrt(squares{n} / (number{n} - 1)) / {AMOUNT_UNITS} or NAN",
    )


def _distinct(n: str, own: str, column: Column | None) -> _Steps:
    return (
        [
            f"local seen{n}, value{n} = {{[0] = true}}, 0",
            f"if {own} and own_{column} ~= 0 then seen{n}[own_{column}] = true; value{n} = 1 end",
        ],
        (str(column),),
        f"if not seen{n}[{column}] then seen{n}[{column}] = true; value{n} = value{n} + 1 end",
        f"value{n}",
    )


def _seen(n: str, _: str, column: Column | None) -> _Steps:
    return (
        [f"local value{n} = own_{column} ~= 0 and 0 or NAN"],
        (str(column),),
        f"if {column} == own_{column} and own_{column} ~= 0 then value{n} = 1 end",
        f"value{n}",
    )


def _latest(column: str, answer: str) -> Callable[[str, str, Column | None], _Steps]:
    return lambda n, _, __: (
        [f"local value{n}"],
        (column,),
        f"value{n} = value{n} or {column}",
        f"value{n} and {answer.replace('value', f'value{n}')} or NAN",
    )


_MEASURES: Final[dict[Measure, Callable[[str, str, Column | None], _Steps]]] = {
    Measure.COUNT: _count,
    Measure.SUM: _sum,
    Measure.MEAN: _mean,
    Measure.MAX: _max,
    Measure.DEVIATION: _deviation,
    Measure.DISTINCT: _distinct,
    Measure.SEEN: _seen,
    Measure.SECONDS_SINCE: _latest("at", f"(own_at - value) / {MICROSECONDS}"),
    Measure.LATEST_LATITUDE: _latest("latitude", f"value / {DEGREE_UNITS}"),
    Measure.LATEST_LONGITUDE: _latest("longitude", f"value / {DEGREE_UNITS}"),
}


def _indented(lines: Sequence[str], spaces: int) -> str:
    return "\n".join(" " * spaces + line for line in lines)
