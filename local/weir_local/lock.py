"""One launcher at a time in a state directory."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

WAIT_SECONDS = 600.0
"""As long as the longest start: a control plane built from source."""
POLL_SECONDS = 0.2


class Busy(Exception):
    """Another `weir` command is starting or stopping this mesh, and did not end in time."""


@contextmanager
def exclusive(
    state: Path, on_wait: Callable[[str], None] = lambda _: None, seconds: float = WAIT_SECONDS
) -> Iterator[None]:
    """Hold the mesh's lock. It is a flock of this process (children do not inherit it), so it dies with its holder.

    `on_wait` is called once, with the holder's command, if there is somebody to wait for. Raises Busy.
    """
    state.mkdir(parents=True, exist_ok=True)
    path = state / "launcher.lock"
    deadline = time.monotonic() + seconds
    told = False
    while True:
        with path.open("a+") as lock:
            if _try_lock(lock.fileno()):
                if not _still_named(lock.fileno(), path):
                    continue  # a purge removed the file while we waited for it: begin again with the new one
                lock.truncate(0)
                lock.write(str(os.getpid()))
                lock.flush()
                yield
                return
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
        if not told:
            on_wait(f"process {holder}")
            told = True
        if time.monotonic() > deadline:
            raise Busy(f"process {holder} is still starting or stopping the mesh in {state}")
        time.sleep(POLL_SECONDS)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _still_named(descriptor: int, path: Path) -> bool:
    try:
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False
