"""One launcher at a time; the lock ends with its holder, however that ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from weir_local.lock import Busy, exclusive

HOLD = """
import sys, time
from pathlib import Path
from weir_local.lock import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_launcher_waits_and_is_told_for_whom(tmp_path: Path) -> None:
    with subprocess.Popen((sys.executable, "-c", HOLD, str(tmp_path)), stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        told: list[str] = []
        with pytest.raises(Busy, match=str(holder.pid)), exclusive(tmp_path, told.append, seconds=0.3):
            pass
        assert told == [f"process {holder.pid}"]
        holder.kill()
        holder.wait()
        with exclusive(tmp_path, told.append, seconds=5):
            pass


def test_a_purge_that_removes_the_lock_file_lets_the_next_one_lock_a_new_one(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with exclusive(state):
        (state / "launcher.lock").unlink()
        with exclusive(state, seconds=0):
            assert (state / "launcher.lock").exists()
