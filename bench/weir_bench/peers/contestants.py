"""Who drains the topic, and what each is given."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from weir_bench.peers.programs.work import ANSWER, Answer, Task

LEAVE_SECONDS: Final = 20
LAST_LINES: Final = 8


@dataclass(frozen=True, slots=True)
class Contestant:
    """One program of ``programs/``."""

    name: str
    distribution: str | None
    """None: runs in our own environment."""
    batch: int
    setting: str

    @property
    def is_peer(self) -> bool:
        return self.distribution is not None


CONTESTANTS: Final = (
    Contestant("faust", "faust-streaming", 10_000, "stream.take(10,000), memory table with its changelog topic, linger 50 ms"),
    Contestant("quixstreams", "quixstreams", 1, "tumbling window of 1 min, RocksDB state with its changelog topic"),
    Contestant("bytewax", "bytewax", 10_000, "batches of 10,000 added up, then fold_window, state in memory"),
    Contestant("faststream", "faststream", 10_000, "batch subscriber of 10,000 over aiokafka, sums in a dict"),
    Contestant("weir", None, 10_000, "batches of 10,000, sums, offsets and duplicate window in one PostgreSQL transaction"),
)  # fmt: skip
BY_DEFAULT: Final = Contestant("weir", None, 1_000, "the same in batches of 1,000, as analytics has it")
NOTHING: Final = Contestant("nothing", None, 1, "decoding and adding alone, values in memory")


class NotMeasured(Exception):
    """A program that gave no answer, with its last words."""


def run(contestant: Contestant, python: Path, task: Task, deadline_seconds: float) -> Answer:
    """One run in a process of its own; nothing of it is left afterwards. Raises NotMeasured."""
    folder = Path(task.folder)
    folder.mkdir(parents=True)
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            (str(python), "-m", f"weir_bench.peers.programs.with_{contestant.name}"),
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.communicate(msgspec.json.encode(task), timeout=deadline_seconds)
        except subprocess.TimeoutExpired:
            if not (folder / ANSWER).exists():
                raise NotMeasured(f"no answer within {deadline_seconds:.0f} s; {_last_words(log)}") from None
        finally:
            _end(process)
    if not (folder / ANSWER).exists():
        raise NotMeasured(f"ended with {process.returncode} and no answer; {_last_words(log)}")
    return msgspec.json.decode((folder / ANSWER).read_bytes(), type=Answer)


def _end(process: subprocess.Popen[bytes]) -> None:
    for signum in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, signum)
        except ProcessLookupError:
            break
        try:
            process.wait(LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    process.wait(LEAVE_SECONDS)


def _last_words(log: Path) -> str:
    return " | ".join(log.read_text(errors="replace").strip().splitlines()[-LAST_LINES:]) or "it said nothing"


def in_turn(rounds: int, contestants: Sequence[Contestant]) -> list[tuple[int, Contestant]]:
    """A B C, A B C, …: what the machine does meanwhile hits all alike."""
    return [(number, contestant) for number in range(1, rounds + 1) for contestant in contestants]
