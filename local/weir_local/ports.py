"""Free ports, chosen once per state directory and remembered in `ports.json`."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

FIRST, LAST = 18_000, 32_000
"""Below Linux's ephemeral range (32768…), so that no outgoing connection takes a port while its component is stopped."""


class NoFreePort(Exception):
    """Every port of the range is taken."""


class Ports:
    """Names → port numbers of one mesh.

    The seed (the state directory's path) decides where the search begins, so that two checkouts look in different
    places and rarely meet even while one of them is stopped.
    """

    def __init__(self, file: Path, seed: str, free: Callable[[int], bool] | None = None) -> None:
        self._file = file
        self._free = free or is_free
        self._start = FIRST + zlib.crc32(seed.encode()) % (LAST - FIRST)

    def all(self) -> dict[str, int]:
        """Everything remembered so far."""
        try:
            return {str(name): int(port) for name, port in json.loads(self._file.read_text()).items()}
        except FileNotFoundError:
            return {}

    def get(self, name: str) -> int:
        """The port of this name; chosen, and remembered, if it is new. Raises NoFreePort."""
        known = self.all().get(name)
        return known if known is not None else self._choose(name)

    def replace(self, name: str) -> int:
        """Another port for this name, because a stranger holds the remembered one."""
        return self._choose(name, again=True)

    def _choose(self, name: str, *, again: bool = False) -> int:
        with self._exclusive():
            taken = self.all()
            if name in taken and not again:  # another process chose it while we waited
                return taken[name]
            for step in range(LAST - FIRST):
                port = FIRST + (self._start - FIRST + step) % (LAST - FIRST)
                if port not in taken.values() and self._free(port):
                    self._write({**taken, name: port})
                    return port
        raise NoFreePort(f"no free port between {FIRST} and {LAST} for {name}")

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _write(self, ports: dict[str, int]) -> None:
        draft = self._file.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(ports, indent=2, sort_keys=True) + "\n")
        draft.replace(self._file)


def is_free(port: int) -> bool:
    """Whether a listener on 127.0.0.1 could be opened there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # A port in TIME_WAIT is free for a server that sets SO_REUSEADDR, and all of ours do.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
