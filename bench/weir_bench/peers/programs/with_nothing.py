"""The work alone: the same values, already in memory, decoded and added up in one thread. No framework can be faster."""

from __future__ import annotations

import time
from itertools import islice

from weir_bench.peers.programs.work import Answer, Sums, add, begin_task, decode, rows, write_answer
from weir_bench.peers.topic import CHUNK, events


def main() -> None:
    """Making the values does not count."""
    task, _ = begin_task()
    sums: Sums = {}
    seconds = cpu_seconds = 0.0
    made = events(task.topic, task.events)
    while values := [one.record.value or b"" for one in islice(made, CHUNK)]:
        began, cpu = time.perf_counter(), time.process_time()
        for value in values:
            add(sums, decode(value))
        seconds += time.perf_counter() - began
        cpu_seconds += time.process_time() - cpu
    write_answer(task, Answer(seconds=seconds, cpu_seconds=cpu_seconds, rows=rows(sums)))


if __name__ == "__main__":
    main()
