"""FastStream: a batch subscriber with a decoder of its own. It keeps no state, so the sums are a dict; offsets commit as by default."""

from __future__ import annotations

import asyncio
from typing import Any

import uvloop
from faststream.kafka import KafkaBroker  # type: ignore[import-not-found]

from weir_bench.peers.programs.work import (
    Event,
    Stopwatch,
    Sums,
    Task,
    add,
    begin_task,
    decode,
    rows,
    write_answer,
)


async def drain(task: Task, watch: Stopwatch) -> None:
    """Until all events were seen."""
    sums: Sums = {}
    finished = asyncio.Event()

    async def decoded(message: Any) -> list[Event]:
        watch.begin()
        return [decode(body) for body in message.body]

    async def count(events: list[Event]) -> None:
        for event in events:
            add(sums, event)
        if watch.done(len(events)):
            finished.set()

    # Without types to check and without a line of log a batch: both cost time.
    broker = KafkaBroker(task.servers, apply_types=False, logger=None)
    subscribe = broker.subscriber(
        task.topic,
        group_id=task.group,
        auto_offset_reset="earliest",
        batch=True,
        max_records=task.batch,
        decoder=decoded,
    )
    subscribe(count)
    await broker.start()
    await finished.wait()
    write_answer(task, watch.answer(rows(sums)))
    await broker.stop()


if __name__ == "__main__":
    uvloop.run(drain(*begin_task()))
