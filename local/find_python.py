"""Print the Python to build the environment with: of those of our version on the path, the fastest, if it is clearly faster than ours.

Version managers often compile without profile-guided and link-time optimisation, which costs Weir's services about 15 % (README.md),
so the python3 that comes first is not always the one to serve with. No build says reliably how it was made: it is timed.
Run by the Makefile, before anything is installed, by whatever Python is there.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PROBE = """
import ensurepip, sqlite3, ssl, sys, time
if sys.version_info[:2] != (3, 11):
    sys.exit("another version")
def work():
    total, seen = 0, {}
    for number in range(30_000):
        total += number * number % 7
        seen[number & 255] = (number, total)
    return total
def timed():
    began = time.process_time()
    work()
    return time.process_time() - began
print(min(timed() for _ in range(15)))
"""
PROBE_SECONDS = 20
ROUNDS = 8
"""The least of several rounds in turn: what else the machine does halves the speed for some tenths of a second; of three rounds it met all."""
CLEARLY = 0.93


def candidates() -> Iterator[Path]:
    """Each interpreter once, ours first."""
    seen = {Path(sys.executable).resolve()}
    yield Path(sys.executable)
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        path = Path(folder) / "python3.11"
        # A version manager's shim is a script, and runs what is on the list already.
        usable = path.is_file() and os.access(path, os.X_OK) and path.read_bytes()[:2] != b"#!"
        if usable and path.resolve() not in seen:
            seen.add(path.resolve())
            yield path


def seconds(python: Path) -> float:
    """What the probe takes; infinite for one that cannot be used."""
    try:
        probe = subprocess.run(
            [python, "-c", PROBE], capture_output=True, text=True, timeout=PROBE_SECONDS, check=False
        )
        return float(probe.stdout)
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return float("inf")


def fastest() -> Path:
    """The one to use."""
    least: dict[Path, float] = {}
    found = list(candidates())
    if len(found) > 1:
        for _ in range(ROUNDS):
            for python in found:
                least[python] = min(least.get(python, float("inf")), seconds(python))
    ours = found[0]
    best = min(least, key=least.__getitem__, default=ours)
    return best if best == ours or least[best] < CLEARLY * least[ours] else ours


if __name__ == "__main__":
    sys.stdout.write(f"{fastest()}\n")
