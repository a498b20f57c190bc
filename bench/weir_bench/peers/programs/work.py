"""The work that every program does: the same decoder, the same sums, the same stopwatch. Needs msgspec and nothing of ours."""

from __future__ import annotations

import gc
import os
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

import msgspec

Cell: TypeAlias = tuple[str, str, int]
"""Tenant, event type, minute since 1970."""
Sums: TypeAlias = dict[Cell, list[int]]
"""Cell → [events, cents]."""
Row: TypeAlias = tuple[str, str, int, int, int]
"""A cell with its sums."""

ANSWER = "answer.json"


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What a program is told on its standard input."""

    servers: str
    topic: str
    events: int
    group: str
    folder: str
    """Its own, for state and for the answer."""
    batch: int
    """How many events a framework takes at once at most, where it can."""
    postgres: str = ""
    """DSN of the application role; only ours gets one."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a program has measured."""

    seconds: float
    """From its first event to its last."""
    cpu_seconds: float
    """Of all its threads and children, from before it made its client (which fetches ahead) to its last event."""
    rows: list[Row]


class _Node(msgspec.Struct, gc=False):
    """A part of the event. What is not named here is skipped without being built."""


class Metadata(_Node):
    timestamp: datetime


class CartValue(_Node):
    final_total: float


class CartContext(_Node):
    cart_value: CartValue


class TransactionContext(_Node):
    cart_context: CartContext


class BusinessContext(_Node):
    transaction_context: TransactionContext


class EventData(_Node):
    event_type: str
    business_context: BusinessContext


class Event(_Node):
    """What the sums need of an event."""

    tenant_id: str
    event_metadata: Metadata
    event_data: EventData

    @property
    def seconds(self) -> float:
        """Event time since 1970."""
        return self.event_metadata.timestamp.timestamp()

    @property
    def cents(self) -> int:
        return round(self.event_data.business_context.transaction_context.cart_context.cart_value.final_total * 100)


decode = msgspec.json.Decoder(Event).decode


def add(sums: Sums, event: Event) -> None:
    """Count one event and add its amount to its cell."""
    cell = (event.tenant_id, event.event_data.event_type, int(event.seconds) // 60)
    found = sums.get(cell)
    if found is None:
        sums[cell] = [1, event.cents]
    else:
        found[0] += 1
        found[1] += event.cents


def merge(sums: Sums, more: Sums) -> None:
    """Add ``more`` to ``sums``."""
    for cell, (count, cents) in more.items():
        found = sums.setdefault(cell, [0, 0])
        found[0] += count
        found[1] += cents


def rows(sums: Sums) -> list[Row]:
    """In order, so that two results can be compared."""
    return [(*cell, count, cents) for cell, (count, cents) in sorted(sums.items())]


class Stopwatch:
    """CPU counts from its making, time from the first event; both end when all events were seen."""

    def __init__(self, events: int) -> None:
        self._left = events
        self._cpu = _cpu_seconds()
        self._began = 0.0
        self._took: tuple[float, float] | None = None

    def begin(self) -> None:
        """Call before the first event is decoded; later calls change nothing."""
        if not self._began:
            self._began = time.perf_counter()

    def done(self, events: int) -> bool:
        """Call after ``events`` more were worked on; True once all were."""
        self._left -= events
        if self._left > 0:
            return False
        if self._took is None:
            self._took = (time.perf_counter() - self._began, _cpu_seconds() - self._cpu)
        return True

    def answer(self, found: list[Row]) -> Answer:
        assert self._took is not None, "not all events were seen"
        return Answer(seconds=self._took[0], cpu_seconds=self._took[1], rows=found)


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def begin_task() -> tuple[Task, Stopwatch]:
    """The task on the standard input. Every program gets the garbage collector's settings that our services run with."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    return task, Stopwatch(task.events)


def write_answer(task: Task, answer: Answer) -> None:
    """Whole or not at all: the bench takes the file's presence for success."""
    draft = Path(task.folder, ".answer.json")
    draft.write_bytes(msgspec.json.encode(answer))
    draft.rename(draft.with_name(ANSWER))
