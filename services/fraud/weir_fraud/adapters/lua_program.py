"""The Valkey function, made from a plan of aggregates. Its rules are those of `domain/history.py`; a property test holds them equal.

A history is one string of packed observations (`domain/payment.pack`), oldest first: a fifth of the memory of a sorted set, read
by one command, appended to by one. The library's name carries a digest of its text, so that two releases of the service can
run side by side, each with its own plan, on the same histories.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from weir_fraud.domain.aggregate import ROWS_KEPT, Aggregate, Entity, Measure, Which
from weir_fraud.domain.payment import AMOUNT_UNITS, DEGREE_UNITS, MICROSECONDS, MISSING_PLACE, OBSERVATION_BYTES

_SLACK_ROWS: Final = 64
"""Rows over `ROWS_KEPT` stay, unread, until there are so many that rewriting the string pays."""

_ENTITIES: Final = (Entity.USER, Entity.DEVICE, Entity.PAYMENT_TOKEN)


@dataclass(frozen=True, slots=True)
class LuaProgram:
    """A function library: its text and the name of its one function.

    Call it with keys (snapshot, user, device, payment token) and arguments (packed observation, time before which is forgotten
    in µs, TTL of histories and TTL of the snapshot in ms). The key of an entity that the payment lacks is not touched. It gives
    one little-endian double for each aggregate of the plan.
    """

    name: str
    source: str


def lua_program(plan: Sequence[Aggregate]) -> LuaProgram:
    """The program of a plan; the same plan gives the same text."""
    body = "\n".join([_PREAMBLE, *(_entity(entity, plan) for entity in _ENTITIES), _observe(len(plan))])
    name = f"weir_fraud_{blake2b(body.encode(), digest_size=8).hexdigest()}"
    source = f"#!lua name={name}\n{body}\nserver.register_function('{name}', observe)\n"
    return LuaProgram(name, source)


_COLUMNS: Final = "at, id, amount, currency, user, device, payment_token, country, latitude, longitude, declined"
_OWN_COLUMNS: Final = ", ".join(f"own_{column}" for column in _COLUMNS.split(", "))

_PREAMBLE: Final = f"""
local ROW = '<i8I6i8I2I6I6I6I2i4i4B'
local SIZE = {OBSERVATION_BYTES}
local KEPT = {ROWS_KEPT}
local SLACK = {_SLACK_ROWS}
local NAN = 0/0
"""

_ENTITY: Final = """
local function {entity}_aggregates(out, key, row, forget_before, ttl, {own_columns})
  local unpack_row = struct.unpack
  local blob = redis.call('GET', key) or ''
  local count = #blob / SIZE
  local first = 1
  while first <= count and unpack_row('<i8', blob, (first - 1) * SIZE + 1) <= forget_before do first = first + 1 end
  local forgotten = first - 1
  if count - first + 1 > KEPT then first = count - KEPT + 1 end
  local known, place = false, count + 1
{init}
  for index = first, count do
    local {columns} = unpack_row(ROW, blob, (index - 1) * SIZE + 1)
    if id == own_id then
      known = true
    elseif at > own_at then
      if index < place then place = index end
    else
{step}
    end
  end
{final}
  local added = not known and not (place == first and count - first + 1 >= KEPT)
  if not added and forgotten == 0 then return end
  if added and place == count + 1 and forgotten == 0 and count < KEPT + SLACK then
    redis.call('APPEND', key, row)
    redis.call('PEXPIRE', key, ttl)
    return
  end
  local before = string.sub(blob, (first - 1) * SIZE + 1, (place - 1) * SIZE)
  blob = before .. (added and row or '') .. string.sub(blob, (place - 1) * SIZE + 1)
  if blob == '' then redis.call('DEL', key) else redis.call('SET', key, blob, 'PX', ttl) end
end
"""

_OBSERVE: Final = """
local function observe(keys, args)
  local snapshot = redis.call('GET', keys[1])
  if snapshot then return snapshot end
  local row, forget_before, ttl = args[1], tonumber(args[2]), args[3]
  local {own_columns} = struct.unpack(ROW, row)
  local out = {{}}
  for index = 1, {width} do out[index] = NAN end
{calls}
  snapshot = struct.pack('<' .. string.rep('d', {width}), unpack(out))
  redis.call('SET', keys[1], snapshot, 'PX', args[4])
  return snapshot
end
"""


def _entity(entity: Entity, plan: Sequence[Aggregate]) -> str:
    init: list[str] = []
    step: list[str] = []
    final: list[str] = []
    windows: dict[int, None] = {}
    for place, aggregate in enumerate(plan, start=1):
        if aggregate.entity is not entity:
            continue
        windows[aggregate.window.seconds] = None
        begin, each, end = _aggregate(aggregate, place)
        init += begin
        step.append(f"if at > from_{aggregate.window.seconds}{_condition(aggregate.which)} then {each} end")
        final += end
    starts = [f"local from_{seconds} = own_at - {seconds * MICROSECONDS}" for seconds in windows]
    return _ENTITY.format(
        entity=entity,
        columns=_COLUMNS,
        own_columns=_OWN_COLUMNS,
        init=_indented([*starts, *init], 2),
        step=_indented(step, 6),
        final=_indented(final, 2),
    )


def _observe(width: int) -> str:
    calls = [
        f"if own_{entity} ~= 0 then {entity}_aggregates(out, keys[{index}], row, forget_before, ttl, {_OWN_COLUMNS}) end"
        for index, entity in enumerate(_ENTITIES, start=2)
    ]
    return _OBSERVE.format(width=width, own_columns=_OWN_COLUMNS, calls=_indented(calls, 2))


def _aggregate(aggregate: Aggregate, place: int) -> tuple[list[str], str, list[str]]:
    """Lua before the loop, in it for a row that counts, and after it."""
    value = f"v{place}"
    result = f"out[{place}] ="
    column = aggregate.column
    match aggregate.measure:
        case Measure.COUNT:
            own = f"(true{_condition(aggregate.which, 'own_')}) and 1 or 0" if aggregate.own else "0"
            return [f"local {value} = {own}"], f"{value} = {value} + 1", [f"{result} {value}"]
        case Measure.SUM:
            own = "own_amount >= 0 and own_amount or 0" if aggregate.own else "0"
            return [f"local {value} = {own}"], f"{value} = {value} + amount", [f"{result} {value} / {AMOUNT_UNITS}"]
        case Measure.MEAN | Measure.DEVIATION:
            count, mean, squares = f"n{place}", f"m{place}", f"s{place}"
            each = (
                f"{count} = {count} + 1; local step = amount - {mean}; {mean} = {mean} + step / {count}; "
                f"{squares} = {squares} + step * (amount - {mean})"
            )
            end = (
                f"{result} {count} > 0 and {mean} / {AMOUNT_UNITS} or NAN"
                if aggregate.measure is Measure.MEAN
                else f"{result} {count} > 1 and math.sqrt({squares} / ({count} - 1)) / {AMOUNT_UNITS} or NAN"
            )
            return [f"local {count}, {mean}, {squares} = 0, 0, 0"], each, [end]
        case Measure.DISTINCT:
            seen = f"seen{place}"
            begin = [f"local {seen}, {value} = {{[0] = true}}, 0"]
            if aggregate.own:
                begin.append(f"if own_{column} ~= 0 then {seen}[own_{column}] = true; {value} = 1 end")
            each = f"if not {seen}[{column}] then {seen}[{column}] = true; {value} = {value} + 1 end"
            return begin, each, [f"{result} {value}"]
        case Measure.SEEN:
            return (
                [f"local {value} = own_{column} ~= 0 and 0 or NAN"],
                f"if {column} == own_{column} and own_{column} ~= 0 then {value} = 1 end",
                [f"{result} {value}"],
            )
        case Measure.SECONDS_SINCE:
            return [f"local {value} = NAN"], f"{value} = (own_at - at) / {MICROSECONDS}", [f"{result} {value}"]
        case Measure.LATEST_LATITUDE:
            return [f"local {value} = NAN"], f"{value} = latitude / {DEGREE_UNITS}", [f"{result} {value}"]
        case Measure.LATEST_LONGITUDE:
            return [f"local {value} = NAN"], f"{value} = longitude / {DEGREE_UNITS}", [f"{result} {value}"]


def _condition(which: Which, prefix: str = "") -> str:
    match which:
        case Which.ALL:
            return ""
        case Which.DECLINED:
            return f" and {prefix}declined == 1"
        case Which.SAME_CURRENCY:
            return f" and {prefix}amount >= 0 and {prefix}currency == own_currency"
        case Which.LOCATED:
            return f" and {prefix}latitude ~= {MISSING_PLACE}"


def _indented(lines: Sequence[str], spaces: int) -> str:
    return "\n".join(" " * spaces + line for line in lines)
