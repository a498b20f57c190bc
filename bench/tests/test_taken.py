"""A machine that is made slower is slower, and is itself again afterwards."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from weir_bench.taken import NotTaken, processors_taken


def _takers() -> list[int]:
    return [
        process
        for process in (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
        if _fields(process)[1:2] == [str(os.getpid())] and "weir_bench.taken" in _command(process)
    ]


def _command(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text()
    except OSError:
        return ""


def _fields(process: int) -> list[str]:
    """From the state on; none of a process that has ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _processor_seconds(process: int) -> float:
    fields = _fields(process)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_half_of_each_processor_is_taken_and_given_back() -> None:
    try:
        with processors_taken(0.5):
            takers = _takers()
            assert sorted(processor for taker in takers for processor in os.sched_getaffinity(taker)) == sorted(
                os.sched_getaffinity(0)
            )
            assert {os.sched_getscheduler(taker) for taker in takers} == {os.SCHED_FIFO}
            began, before = time.monotonic(), [_processor_seconds(taker) for taker in takers]
            time.sleep(1)
            used = [_processor_seconds(taker) - seconds for taker, seconds in zip(takers, before, strict=True)]
            shares = [seconds / (time.monotonic() - began) for seconds in used]
    except NotTaken as error:
        if "PermissionError" not in str(error):
            raise
        pytest.skip("no right to real-time priority here")
    assert not _takers()
    assert all(0.35 < share < 0.65 for share in shares), shares


def test_nothing_is_taken_by_default() -> None:
    with processors_taken(0):
        assert not _takers()


@pytest.mark.parametrize("share", [-0.1, 0.95, 2.0])
def test_a_share_that_leaves_nothing_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="a share between"), processors_taken(share):
        pass
