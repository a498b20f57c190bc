"""Bytewax: its Kafka source, sums of each batch made in one go, then its own event-time windows. State in memory, as by default."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from bytewax import operators as op  # type: ignore[import-not-found]
from bytewax.connectors.kafka import KafkaSource  # type: ignore[import-not-found]
from bytewax.dataflow import Dataflow  # type: ignore[import-not-found]
from bytewax.operators import windowing  # type: ignore[import-not-found]
from bytewax.outputs import DynamicSink, StatelessSinkPartition  # type: ignore[import-not-found]
from bytewax.testing import run_main  # type: ignore[import-not-found]

from weir_bench.peers.programs.work import Stopwatch, Sums, Task, add, begin_task, decode, merge, rows, write_answer

MINUTE = timedelta(minutes=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = timedelta(hours=1)
"""How long a window waits for late events: longer than the topic, whose partitions are not read in step."""


class Results(StatelessSinkPartition):  # type: ignore[misc]
    """Takes the windows as they close."""

    def __init__(self, sums: Sums) -> None:
        self._sums = sums

    def write_batch(self, items: list[Any]) -> None:
        for key, (window, (count, cents)) in items:
            tenant, kind = key.split("|")
            merge(self._sums, {(tenant, kind, window): [count, cents]})


class ResultSink(DynamicSink):  # type: ignore[misc]
    """One worker, one partition."""

    def __init__(self, sums: Sums) -> None:
        self._sums = sums

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Results:
        return Results(self._sums)


def dataflow(task: Task, watch: Stopwatch, sums: Sums) -> Any:
    """Kafka to windows. Folding event by event instead was slower."""

    def sums_of(messages: list[Any]) -> list[tuple[str, tuple[datetime, int, int]]]:
        watch.begin()
        part: Sums = {}
        for message in messages:
            add(part, decode(message.value))
        return [
            (f"{tenant}|{kind}", (EPOCH + minute * MINUTE, count, cents))
            for (tenant, kind, minute), (count, cents) in part.items()
        ]

    def fold(total: list[int], part: tuple[datetime, int, int]) -> list[int]:
        total[0] += part[1]
        total[1] += part[2]
        watch.done(part[1])
        return total

    flow = Dataflow("peers")
    source = KafkaSource([task.servers], [task.topic], tail=False, batch_size=task.batch)
    parts = op.flat_map_batch("sums_of_batch", op.input("events", flow, source), sums_of)
    windows = windowing.fold_window(
        "sums",
        parts,
        windowing.EventClock(ts_getter=lambda part: part[0], wait_for_system_duration=LATEST),
        windowing.TumblingWindower(length=MINUTE, align_to=EPOCH),
        lambda: [0, 0],
        fold,
        lambda one, other: [one[0] + other[0], one[1] + other[1]],
        ordered=False,
    )
    op.output("results", windows.down, ResultSink(sums))
    return flow


def main() -> None:
    """Until the end of every partition."""
    task, watch = begin_task()
    sums: Sums = {}
    run_main(dataflow(task, watch, sums))
    write_answer(task, watch.answer(rows(sums)))


if __name__ == "__main__":
    main()
