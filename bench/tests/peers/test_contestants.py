"""One program a run: its answer, its last words, and nothing left of it."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from weir_bench.peers import contestants
from weir_bench.peers.contestants import NOTHING, NotMeasured, run
from weir_bench.peers.programs.work import Task
from weir_bench.peers.topic import events


def task(folder: Path, count: int) -> Task:
    return Task(servers="", topic="topic", events=count, group="g", folder=str(folder), batch=1)


def test_the_work_alone_finds_every_event(tmp_path: Path) -> None:
    answer = run(NOTHING, Path(sys.executable), task(tmp_path / "run", 500), 60)
    assert sum(row[3] for row in answer.rows) == 500
    assert sum(row[4] for row in answer.rows) == sum(one.cents for one in events("topic", 500))
    assert answer.seconds > 0


def test_a_program_that_fails_is_quoted(tmp_path: Path) -> None:
    missing = contestants.Contestant("someone_else", None, 1, "")
    with pytest.raises(NotMeasured, match="No module named"):
        run(missing, Path(sys.executable), task(tmp_path / "run", 1), 60)


def test_a_program_that_is_late_is_ended(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(NotMeasured, match="no answer within 1 s"):
        run(NOTHING, Path(sys.executable), task(tmp_path / "run", 10_000_000), 1)
    assert time.monotonic() - began < 15
