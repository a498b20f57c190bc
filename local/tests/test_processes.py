"""Who is our child, and who only looks like it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from weir_local.component import Launch
from weir_local.mesh import Mesh
from weir_local.processes import Identity, Processes, settings_digest

SLEEP = Launch(("/bin/sleep", "60"))
# Ignores SIGTERM and leaves a grandchild behind.
STUBBORN = Launch(("/bin/sh", "-c", "trap '' TERM; sleep 60 & sleep 60"))


def _wait_for_exit_code(processes: Processes, component: str) -> int | None:
    deadline = time.monotonic() + 5
    while processes.exit_code(component) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    return processes.exit_code(component)


async def test_a_child_is_known_by_another_launcher(processes: Processes, mesh: Mesh) -> None:
    running = processes.start("a", SLEEP, mesh.state / "a.log")
    other = Processes(mesh.state)
    assert other.alive("a") == running
    async with asyncio.timeout(5):  # the pid is known before the process has become the command
        while Path(f"/proc/{running.identity.pid}/cmdline").read_bytes() != b"/bin/sleep\x0060\x00":
            await asyncio.sleep(0.005)
    assert os.getsid(running.identity.pid) != os.getsid(0)
    assert await other.stop("a", signal.SIGTERM, 5)
    assert other.alive("a") is None
    assert other.marked() == []


async def test_a_recycled_pid_is_never_killed(processes: Processes, mesh: Mesh) -> None:
    with subprocess.Popen(("/bin/sleep", "5")) as stranger:
        time.sleep(0.03)  # start times count in ticks of 10 ms
        processes.start("a", SLEEP, mesh.state / "a.log")
        record = mesh.state / "run" / "a.json"
        document = json.loads(record.read_text())
        document["identity"]["pid"] = stranger.pid  # the pid of a stranger, with our child's start time
        record.write_text(json.dumps(document))
        assert processes.alive("a") is None
        assert await processes.stop("a", signal.SIGTERM, 1)  # ends our child, which its marker betrays
        assert stranger.poll() is None
        assert processes.marked() == []
        stranger.kill()


async def test_another_boot_makes_every_record_stale(processes: Processes, mesh: Mesh) -> None:
    running = processes.start("a", SLEEP, mesh.state / "a.log")
    assert Identity(running.identity.pid, running.identity.start_ticks, "another-boot").alive() is False


async def test_the_environment_of_a_user_is_no_marker(processes: Processes, mesh: Mesh) -> None:
    """Somebody who exported WEIR_STATE_DIR in a shell must survive `weir down`."""
    with subprocess.Popen(("/bin/sleep", "60"), env={"WEIR_STATE_DIR": str(mesh.state)}) as theirs:
        assert processes.marked() == []
        await processes.kill_marked()
        assert theirs.poll() is None
        theirs.kill()


async def test_another_mesh_is_left_alone(processes: Processes, mesh: Mesh, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Processes(tmp_path / "other")
    theirs = other.start("a", SLEEP, tmp_path / "other.log")
    processes.start("a", SLEEP, mesh.state / "a.log")
    await processes.kill_marked()
    assert theirs.identity.alive()
    await other.kill_marked()


async def test_what_ignores_the_signal_is_killed_with_its_children(processes: Processes, mesh: Mesh) -> None:
    processes.start("a", STUBBORN, mesh.state / "a.log")
    began = time.monotonic()
    while len(processes.marked("a")) < 4 and time.monotonic() - began < 5:  # two shells and two sleeps
        time.sleep(0.01)
    assert await processes.stop("a", signal.SIGTERM, 0.2)
    assert processes.marked() == []


async def test_the_exit_code_outlives_the_launcher(processes: Processes, mesh: Mesh) -> None:
    processes.start("code", Launch(("/bin/sh", "-c", "echo last words; exit 7")), mesh.state / "a.log")
    assert _wait_for_exit_code(processes, "code") == 7
    assert processes.alive("code") is None
    assert (mesh.state / "a.log").read_text() == "last words\n"
    running = processes.start("killed", SLEEP, mesh.state / "b.log")
    os.kill(running.identity.pid, signal.SIGKILL)
    assert _wait_for_exit_code(processes, "killed") == 128 + signal.SIGKILL


async def test_a_child_that_nobody_wrote_down_is_found(processes: Processes, mesh: Mesh) -> None:
    """As after kill -9 of a launcher between starting a child and writing its record."""
    running = processes.start("a", SLEEP, mesh.state / "a.log")
    (mesh.state / "run" / "a.json").unlink()
    assert processes.alive("a") is None
    assert running.identity in processes.marked("a")
    assert running.identity.pid in processes.strays(["a"])
    assert await processes.stop("a", signal.SIGTERM, 1)
    assert not running.identity.alive()


async def test_a_running_component_is_no_stray(processes: Processes, mesh: Mesh) -> None:
    processes.start("a", STUBBORN, mesh.state / "a.log")
    assert processes.strays(["a"]) == []


async def test_a_child_inherits_little(processes: Processes, mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SHELL", "1")
    program = "import os, json; print(json.dumps(dict(os.environ)))"
    processes.start("a", Launch((sys.executable, "-c", program), {"WEIR_X": "1"}), mesh.state / "a.log")
    assert _wait_for_exit_code(processes, "a") == 0
    environment = json.loads((mesh.state / "a.log").read_text())
    assert "SECRET_OF_THE_SHELL" not in environment
    assert environment["WEIR_X"] == "1"
    assert environment["WEIR_STATE_DIR"] == str(mesh.state)
    assert environment["WEIR_COMPONENT"] == "a"
    assert environment["PATH"] == os.environ["PATH"]


def test_a_zombie_is_not_alive() -> None:
    with subprocess.Popen(("/bin/true",)) as child:
        deadline = time.monotonic() + 5
        while Identity.of(child.pid) is not None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert Identity.of(child.pid) is None  # ended, but not waited for


def test_changed_settings_change_the_digest() -> None:
    one = Launch(("a", "b"), {"X": "1", "Y": "2"})
    assert settings_digest(one) == settings_digest(Launch(("a", "b"), {"Y": "2", "X": "1"}))
    assert settings_digest(one) != settings_digest(Launch(("a", "b"), {"X": "1", "Y": "3"}))
    assert settings_digest(one) != settings_digest(Launch(("a", "c"), {"X": "1", "Y": "2"}))


async def test_what_a_child_started_without_our_marker_goes_with_it(processes: Processes, mesh: Mesh) -> None:
    hidden = Launch(
        (
            "/bin/sh",
            "-c",
            f"env -i sleep 61 & echo $! >{mesh.state}/draft; mv {mesh.state}/draft {mesh.state}/hidden; wait",
        )
    )
    processes.start("a", hidden, mesh.state / "a.log")
    deadline = time.monotonic() + 5
    while not (mesh.state / "hidden").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    pid = int((mesh.state / "hidden").read_text())
    assert Identity.of(pid) is not None
    assert await processes.kill_marked("a") >= 2
    assert Identity.of(pid) is None
