"""The Valkey functions that keep histories and hand them out. Their rules are those of `domain/history.py`; a property test holds them equal.

A history is one string of packed observations (`domain/payment.pack`), oldest first: a fifth of the memory of a sorted set, read
by one command, written to by one, from the place of what is new. Its rows are in order of time, so that an edge is found by halving.
What is asked of them is computed by who asks (`aggregate_kernel.py`): in Lua it took ten times as long, on the one thread that serves everybody.
The library's name carries a digest of its text, so that two releases of the service can run side by side on the same histories.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from weir_fraud.domain.aggregate import DAY_SECONDS, FORGOTTEN_TOGETHER, ROWS_KEPT, Entity
from weir_fraud.domain.payment import MICROSECONDS, OBSERVATION_BYTES

ENTITIES: Final = tuple(Entity)
"""In the order of the keys. At most eight: which of them a payment has is said in a byte."""

_SLACK_ROWS: Final = 64
"""Rows over `ROWS_KEPT` stay, unread, until there are so many that rewriting the string pays."""

# Where they stand in a packed observation, counted from 1.
_AT, _ID, _LABEL_AT_BYTE = 1, 9, OBSERVATION_BYTES - 7
_LABEL_BYTE = _LABEL_AT_BYTE - 1


@dataclass(frozen=True, slots=True)
class LuaProgram:
    """A function library: its text and the names of its functions.

    `observe` takes payments of one tenant: keys (those of the entities that a payment has, in their order, for each payment), arguments (TTL of
    histories in ms; 1 if it is to answer; how far back each entity's rows are asked for, in µs, packed; then, each of all payments one
    after the other in one string: a byte whose bits say which entities a payment has, the packed observations, the packed times before which
    is forgotten in µs). It gives, for each payment and entity, the packed rows up to the payment's time without itself, oldest first; nil for
    an entity that it lacks; nothing if it is not to answer. `label` is called with the keys of the entities and
    (packed time and id, label, packed time of the label); it gives in how many histories the observation was.
    """

    name: str
    observe: str
    label: str
    source: str


_SOURCE: Final = f"""
local SIZE = {OBSERVATION_BYTES}
local KEPT = {ROWS_KEPT}
local SLACK = {_SLACK_ROWS}
local TOGETHER = {FORGOTTEN_TOGETHER}
local DAY = {DAY_SECONDS * MICROSECONDS}
local ENTITIES = {len(ENTITIES)}
-- Where the columns of row 0 would stand.
local AT = {_AT - OBSERVATION_BYTES}
local LABEL = {_LABEL_BYTE - OBSERVATION_BYTES}
local LABEL_AT = {_LABEL_AT_BYTE - OBSERVATION_BYTES}
-- struct.unpack, which is not there yet when the library is loaded.
local read

-- The first of the rows low to high that is later than a time; high + 1 if none is.
local function later(blob, low, high, time)
  while low <= high do
    local middle = math.floor((low + high) / 2)
    if read('<i8', blob, AT + middle * SIZE) > time then high = middle - 1 else low = middle + 1 end
  end
  return low
end

local function rows(blob, first, last)
  return string.sub(blob, (first - 1) * SIZE + 1, last * SIZE)
end

-- Takes the payment into one history; gives the rows that are at most so far back.
local function history(key, row, own_at, own_id, forget_before, ttl, reach)
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
  local answer = ''
  if reach > 0 then
    local from = later(blob, first, place - 1, own_at - reach)
    if known >= from then
      answer = rows(blob, from, known - 1) .. rows(blob, known + 1, place - 1)
    else
      answer = rows(blob, from, place - 1)
    end
  end
  if known >= first then
    if forgotten > 0 then redis.call('SET', key, rows(blob, forgotten + 1, count), 'PX', ttl) end
    return answer
  end
  local added = not (place == first and count - first + 1 >= KEPT)
  if not added and forgotten == 0 then return answer end
  if added and forgotten == 0 and count < KEPT + SLACK then
    if count == 0 then
      redis.call('SET', key, row, 'PX', ttl)
    else
      -- From its place on only: what is written is also logged and replicated, and what comes late is mostly but a few rows late.
      redis.call('SETRANGE', key, (place - 1) * SIZE, row .. rows(blob, place, count))
      -- Put off once a day of event time: each time would be one more command to log and to replicate.
      if place > count and math.floor(own_at / DAY) ~= math.floor(read('<i8', blob, AT + count * SIZE) / DAY) then
        redis.call('PEXPIRE', key, ttl)
      end
    end
    return answer
  end
  blob = rows(blob, first, place - 1) .. (added and row or '') .. rows(blob, place, count)
  if blob == '' then redis.call('DEL', key) else redis.call('SET', key, blob, 'PX', ttl) end
  return answer
end

local function observe(keys, args)
  read = struct.unpack
  local ttl, answers = args[1], args[2] == '1'
  local reaches = {{ read('<{"i8" * len(ENTITIES)}', args[3]) }}
  local who, observations, forgets = args[4], args[5], args[6]
  local out, place = {{}}, 0
  for payment = 1, #who do
    local has = string.byte(who, payment)
    local row = rows(observations, payment, payment)
    local own_at, own_id = read('<i8I6', row)
    local forget_before = read('<i8', forgets, 8 * payment - 7)
    for entity = 1, ENTITIES do
      local found = false
      if has % 2 == 1 then
        place = place + 1
        found = history(keys[place], row, own_at, own_id, forget_before, ttl, reaches[entity])
        has = has - 1
      end
      has = has / 2
      if answers then out[#out + 1] = found end
    end
  end
  return out
end

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


def _program() -> LuaProgram:
    name = f"weir_fraud_{blake2b(_SOURCE.encode(), digest_size=8).hexdigest()}"
    observe, label = f"{name}_observe", f"{name}_label"
    registered = f"server.register_function('{observe}', observe)\nserver.register_function('{label}', label)"
    return LuaProgram(name, observe, label, f"#!lua name={name}\n{_SOURCE}\n{registered}\n")


PROGRAM: Final = _program()
"""The same for every plan."""
