"""A slower machine at any hour: a share of each processor is taken, as whatever else runs on the same host takes it in a slow one.

One process a processor, of real-time priority, so that nothing of the mesh runs meanwhile. It reads through 8 MB as it goes: the caches are
shared in a slow hour, too. `python -m weir_bench.taken SHARE PROCESSOR` is one of them; it ends with its parent.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_PERIOD_SECONDS: Final = 0.004
_PRIORITY: Final = 50
_READ_THROUGH_BYTES: Final = 8 * 1_048_576
_STEP_BYTES: Final = 128 * 1_024
MOST: Final = 0.9
"""The kernel lets real-time work have 95 %."""


class NotTaken(Exception):
    """Why the processors could not be taken."""


@contextmanager
def processors_taken(share: float) -> Iterator[None]:
    """Take this share of each processor until the end of the block; 0 takes none. `NotTaken` without the right to do so."""
    if not 0 <= share <= MOST:
        raise ValueError(f"a share between 0 and {MOST}, not {share}")
    takers = [_start(share, processor) for processor in sorted(os.sched_getaffinity(0))] if share else []
    try:
        for taker in takers:
            assert taker.stdout is not None
            assert taker.stderr is not None
            if not taker.stdout.readline():
                why = taker.stderr.read().decode(errors="replace").strip().rpartition("\n")[2]
                raise NotTaken(f"real-time priority is for root, or for who has CAP_SYS_NICE ({why})")
        yield
    finally:
        for taker in takers:
            taker.terminate()
        for taker in takers:
            taker.wait(timeout=5)
            for stream in (taker.stdout, taker.stderr):
                if stream is not None:
                    stream.close()


def _start(share: float, processor: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "weir_bench.taken", str(share), str(processor)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def _take(share: float, processor: int, parent: int) -> None:
    """Until the parent is gone. Says so once it has begun."""
    os.sched_setaffinity(0, {processor})
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_PRIORITY))
    print("taken", flush=True)
    memory, at = bytes(bytearray(_READ_THROUGH_BYTES)), 0
    while os.getppid() == parent:
        began = time.monotonic()
        while time.monotonic() < began + _PERIOD_SECONDS * share:
            memory.find(b"\1", at, at + _STEP_BYTES)
            at = (at + _STEP_BYTES) % _READ_THROUGH_BYTES
        time.sleep(max(0.0, began + _PERIOD_SECONDS - time.monotonic()))


if __name__ == "__main__":
    _take(float(sys.argv[1]), int(sys.argv[2]), os.getppid())
