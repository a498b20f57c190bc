"""The `weir` command on real servers: a launcher that dies half-way, two checkouts side by side, and a purge."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from weir_local import privileges
from weir_local.components import postgres
from weir_local.mesh import Mesh, default_cache_directory, program
from weir_local.processes import Identity, Processes

pytestmark = pytest.mark.integration

SERVERS = "postgres,valkey"


@dataclass(frozen=True, slots=True)
class Checkout:
    """A state directory of its own, as a second clone would have."""

    state: Path

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        weir = program("weir")
        assert weir is not None
        cache = default_cache_directory(os.environ)
        environment = os.environ | {"WEIR_STATE_DIR": str(self.state), "WEIR_CACHE_DIR": str(cache)}
        pipe = subprocess.PIPE
        return subprocess.Popen((weir, *arguments), env=environment, stdout=pipe, stderr=pipe, text=True)

    def run(self, *arguments: str) -> Any:
        """The command's JSON document."""
        with self.start(*arguments, "--json") as process:
            output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, f"{arguments}: {process.returncode}\n{output}\n{errors}"
        return json.loads(output)

    def states(self) -> dict[str, str]:
        """Only of the servers that these tests start."""
        return {one["name"]: one["state"] for one in self.run("status") if one["name"] in SERVERS.split(",")}


@pytest.fixture
def make_checkout(tmp_path: Path) -> Iterator[Any]:
    made: list[Checkout] = []

    def make(name: str) -> Checkout:
        made.append(Checkout(tmp_path / name))
        return made[-1]

    yield make
    for checkout in made:
        checkout.run("down", "--purge")
        assert Processes(checkout.state).marked() == []


def test_two_checkouts_run_side_by_side_and_a_purge_leaves_nothing(make_checkout: Any) -> None:
    one, two = make_checkout("one"), make_checkout("two")
    for checkout in (one, two):
        checkout.run("up", "--only", SERVERS)
    ports = [json.loads((checkout.state / "ports.json").read_text()) for checkout in (one, two)]
    assert not set(ports[0].values()) & set(ports[1].values())
    one.run("down", "--purge")
    assert not one.state.exists()
    assert not privileges.foreign_folder(one.state).exists()
    assert Processes(one.state).marked() == []
    assert two.states() == {"postgres": "running", "valkey": "running"}


def test_ports_and_secrets_survive_down(make_checkout: Any) -> None:
    checkout = make_checkout("one")
    checkout.run("up", "--only", SERVERS)
    before = json.loads((checkout.state / "ports.json").read_text())
    checkout.run("down")
    assert Processes(checkout.state).marked() == []
    checkout.run("up", "--only", SERVERS)
    after = json.loads((checkout.state / "ports.json").read_text())
    assert {name: after[name] for name in before} == before
    assert checkout.states() == {"postgres": "running", "valkey": "running"}


def test_a_new_database_has_its_log_written_ahead(make_checkout: Any) -> None:
    """Else commits stand still for each new file of the log."""
    checkout = make_checkout("one")
    checkout.run("up", "--only", "postgres")

    async def files_ahead() -> int:
        mesh = Mesh.at(checkout.state, default_cache_directory(os.environ))
        connection = await postgres._connect(mesh, "weir")
        try:
            written = "SELECT count(*) FROM pg_ls_waldir() WHERE name > pg_walfile_name(pg_current_wal_lsn())"
            return int(await connection.fetchval(written))
        finally:
            await connection.close(timeout=5)

    assert asyncio.run(files_ahead()) >= postgres.LOG_SEGMENTS_AHEAD - 1


@pytest.mark.parametrize("seed", range(6))
def test_a_launcher_that_is_killed_leaves_no_lock_and_no_process(make_checkout: Any, seed: int) -> None:
    checkout = make_checkout("one")
    pause = random.Random(seed).uniform(0.3, 3.0)
    with checkout.start("up", "--only", SERVERS) as launcher:
        time.sleep(pause)
        identity = Identity.of(launcher.pid)
        launcher.send_signal(signal.SIGKILL)
        launcher.communicate()
    assert identity is None or not identity.alive()
    if seed % 2:
        checkout.run("up", "--only", SERVERS)
        assert checkout.states() == {"postgres": "running", "valkey": "running"}
    checkout.run("down")
    assert Processes(checkout.state).marked() == [], f"killed after {pause:.2f} s"


@pytest.mark.parametrize("command", ["demo", "ledger"])
def test_a_command_that_needs_the_mesh_says_so_in_one_line(make_checkout: Any, command: str) -> None:
    with make_checkout("empty").start(command) as process:
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "weir up" in errors or "weir status" in errors
    assert "Traceback" not in errors
    assert output == ""
