"""Faust: an agent that takes batches, adds each up and puts the sums into a table, whose changelog is on, as by default."""

from __future__ import annotations

import signal
from typing import Any

import mode.loop  # type: ignore[import-not-found]

from weir_bench.peers.programs.work import Stopwatch, Sums, Task, add, begin_task, decode, rows, write_answer

PARTITIONS = 12
LINGER_SECONDS = 0.05
"""By default every change of the table is a request of its own, which costs half as much again."""
WITHIN_SECONDS = 1.0


def make_app(task: Task, watch: Stopwatch) -> Any:
    """A tumbling table changed event by event instead was twice as slow."""
    import faust  # type: ignore[import-not-found]
    from faust.serializers import codecs  # type: ignore[import-not-found]

    class Decoded(codecs.Codec):  # type: ignore[misc]
        """The same decoder as everybody's."""

        def _loads(self, value: bytes) -> Any:
            watch.begin()
            return decode(value)

    codecs.register("decoded", Decoded())
    app = faust.App(
        task.group,
        broker=f"kafka://{task.servers}",
        store="memory://",
        datadir=task.folder,
        web_enabled=False,
        topic_partitions=PARTITIONS,
        topic_replication_factor=1,
        consumer_auto_offset_reset="earliest",
        producer_linger=LINGER_SECONDS,
    )
    topic = app.topic(task.topic, key_type=bytes, key_serializer="raw", value_serializer="decoded")
    table = app.Table("sums", default=lambda: [0, 0], partitions=PARTITIONS, use_partitioner=True)

    async def count(stream: Any) -> None:
        async for events in stream.take(task.batch, within=WITHIN_SECONDS):
            part: Sums = {}
            for event in events:
                add(part, event)
            for cell, (number, cents) in part.items():
                known = table[cell]
                table[cell] = [known[0] + number, known[1] + cents]
            if watch.done(len(events)):
                write_answer(task, watch.answer(rows(dict(table.items()))))
                signal.raise_signal(signal.SIGTERM)

    app.agent(topic)(count)
    return app


def main() -> None:
    """Until all events were seen."""
    mode.loop.use("uvloop")
    import faust

    task, watch = begin_task()
    faust.Worker(make_app(task, watch), loglevel="ERROR").execute_from_commandline()


if __name__ == "__main__":
    main()
