"""The Valkey functions, made from a plan of aggregates. Their rules are those of `domain/history.py`; a property test holds them equal.

A history is one string of packed observations (`domain/payment.pack`), oldest first: a fifth of the memory of a sorted set, read
by one command, appended to by one. Its rows are in order of time, so that the edges of a window are found by halving, a count is
a difference of two places, and only what a measure looks at is unpacked, of the rows of its window. The library's name carries a
digest of its text, so that two releases of the service can run side by side, each with its own plan, on the same histories.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    """Aggregates with the same rows and the same question are answered together, from the shortest window outwards."""
    asked: dict[tuple[Measure, Which, Column | None, bool, int], list[tuple[int, Aggregate]]] = {}
    edges: dict[int, None] = {}
    for place, aggregate in enumerate(plan, start=1):
        if aggregate.entity is not entity:
            continue
        window = aggregate.window
        edges[window.delay] = edges[window.delay + window.seconds] = None
        question = (aggregate.measure, aggregate.which, aggregate.column, aggregate.own, window.delay)
        asked.setdefault(question, []).append((place, aggregate))
    lines: list[str] = []
    # later_N: the first row that is later than N seconds before the payment.
    high = "last"
    for seconds in sorted(edges):
        if seconds == 0:
            lines.append("local later_0 = last + 1")
        else:
            lines.append(f"local later_{seconds} = later(blob, first, {high}, own_at - {seconds * MICROSECONDS})")
        high = f"later_{seconds} - 1"
    for (measure, which, column, own, delay), together in asked.items():
        together.sort(key=lambda pair: pair[1].window.seconds)
        lines += ["do", *("  " + line for line in _question(measure, which, column, own, delay, together)), "end"]
    return _ENTITY.format(entity=entity, own=_OWN, aggregates=_indented(lines, 2))


def _question(
    measure: Measure,
    which: Which,
    column: Column | None,
    own: bool,
    delay: int,
    together: Sequence[tuple[int, Aggregate]],
) -> list[str]:
    if measure is Measure.COUNT and which is Which.ALL:
        extra = " + 1" if own else ""
        return [
            f"out[base + {place}] = later_{delay} - later_{delay + aggregate.window.seconds}{extra}"
            for place, aggregate in together
        ]
    begin, columns, each, answer = _steps(measure, which, column, own)
    wanted = list(dict.fromkeys([*_SELECTS[which][0], *columns]))
    condition = _SELECTS[which][1]
    lines = [*begin, f"local to = later_{delay} - 1"]
    for place, aggregate in together:
        start = f"later_{delay + aggregate.window.seconds}"
        # What was found in a shorter window is not looked for again.
        lines.append(f"for index = {'value and 0 or to' if measure in _LATEST else 'to'}, {start}, -1 do")
        lines += [f"  {line}" for line in _reads(wanted)]
        lines.append(f"  if {condition} then {each} end" if condition else f"  {each}")
        lines += ["end", f"to = {start} - 1", f"out[base + {place}] = {answer}"]
    return lines


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
"""Lua before the loop, the columns that it reads, what it does for a row that counts, and the answer after it."""


def _steps(measure: Measure, which: Which, column: Column | None, own: bool) -> _Steps:
    return _MEASURES[measure](_OWN_SELECTS[which] if own else "false", column)


def _count(own: str, _: Column | None) -> _Steps:
    return [f"local value = ({own}) and 1 or 0"], (), "value = value + 1", "value"


def _sum(own: str, _: Column | None) -> _Steps:
    return (
        [f"local value = ({own}) and own_amount or 0"],
        ("amount",),
        "value = value + amount",
        f"value / {AMOUNT_UNITS}",
    )


def _mean(own: str, _: Column | None) -> _Steps:
    return (
        ["local value, number = 0, 0", f"if {own} then value, number = own_amount, 1 end"],
        ("amount",),
        "value = value + amount; number = number + 1",
        f"number > 0 and value / number / {AMOUNT_UNITS} or NAN",
    )


def _max(own: str, _: Column | None) -> _Steps:
    return (
        [f"local value = ({own}) and own_amount or -1"],
        ("amount",),
        "if amount > value then value = amount end",
        f"value >= 0 and value / {AMOUNT_UNITS} or NAN",
    )


def _deviation(_: str, __: Column | None) -> _Steps:
    return (
        ["local number, mean, squares = 0, 0, 0"],
        ("amount",),
        "number = number + 1; local step = amount - mean; mean = mean + step / number; "
        "squares = squares + step * (amount - mean)",
        f"number > 1 and math.sqrt(squares / (number - 1)) / {AMOUNT_UNITS} or NAN",
    )


def _distinct(own: str, column: Column | None) -> _Steps:
    return (
        [
            "local seen, value = {[0] = true}, 0",
            f"if {own} and own_{column} ~= 0 then seen[own_{column}] = true; value = 1 end",
        ],
        (str(column),),
        f"if not seen[{column}] then seen[{column}] = true; value = value + 1 end",
        "value",
    )


def _seen(_: str, column: Column | None) -> _Steps:
    return (
        [f"local value = own_{column} ~= 0 and 0 or NAN"],
        (str(column),),
        f"if {column} == own_{column} and own_{column} ~= 0 then value = 1; break end",
        "value",
    )


def _latest(column: str, answer: str) -> Callable[[str, Column | None], _Steps]:
    return lambda _, __: (["local value"], (column,), f"value = {column}; break", f"value and {answer} or NAN")


_LATEST: Final = frozenset({Measure.SECONDS_SINCE, Measure.LATEST_LATITUDE, Measure.LATEST_LONGITUDE})

_MEASURES: Final[dict[Measure, Callable[[str, Column | None], _Steps]]] = {
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
