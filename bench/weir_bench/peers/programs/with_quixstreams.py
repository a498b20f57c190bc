"""Quix Streams: a tumbling window with its state in RocksDB and its changelog topic, as by default."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from quixstreams import Application, message_context  # type: ignore[import-not-found]
from quixstreams.dataframe.windows import Count, Sum  # type: ignore[import-not-found]
from quixstreams.models.serializers import Deserializer  # type: ignore[import-not-found]

from weir_bench.peers.programs.work import Event, Stopwatch, Sums, begin_task, decode, merge, rows, write_answer

GRACE = timedelta(hours=1)


class EventOf(Deserializer):  # type: ignore[misc]
    """The same decoder as everybody's."""

    def __init__(self, watch: Stopwatch) -> None:
        super().__init__()
        self._watch = watch

    def __call__(self, value: bytes, ctx: Any) -> Event:
        self._watch.begin()
        return decode(value)


class TenantAndType(Deserializer):  # type: ignore[misc]
    """The key of the window, from the headers: `group_by` would write every event to another topic and read it again."""

    def __call__(self, value: bytes, ctx: Any) -> bytes:
        headers = dict(ctx.headers)
        return bytes(headers["weir-tenant"] + b"|" + headers["weir-event-type"])


def main() -> None:
    """Until all events were seen."""
    task, watch = begin_task()
    latest: dict[tuple[int, bytes, int], tuple[int, int]] = {}
    app = Application(
        task.servers,
        consumer_group=task.group,
        auto_offset_reset="earliest",
        state_dir=Path(task.folder, "state"),
        loglevel="WARNING",
    )
    topic = app.topic(
        task.topic,
        key_deserializer=TenantAndType(),
        key_serializer="bytes",
        value_deserializer=EventOf(watch),
        timestamp_extractor=lambda event, headers, timestamp, kind: int(event.seconds * 1000),
    )

    def seen(window: dict[str, int], key: bytes, timestamp: int, headers: Any) -> None:
        # State is kept by partition, and a tenant has four: the last value of each is added up at the end.
        latest[(message_context().partition, key, window["start"])] = (window["count"], window["cents"])
        if watch.done(1):
            app.stop()

    frame = app.dataframe(topic).apply(lambda event: event.cents)
    frame = frame.tumbling_window(timedelta(minutes=1), grace_ms=GRACE).agg(count=Count(), cents=Sum()).current()
    frame.update(seen, metadata=True)
    app.run()
    sums: Sums = {}
    for (_, key, start), (count, cents) in latest.items():
        tenant, kind = key.decode().split("|")
        merge(sums, {(tenant, kind, start // 60_000): [count, cents]})
    write_answer(task, watch.answer(rows(sums)))


if __name__ == "__main__":
    main()
