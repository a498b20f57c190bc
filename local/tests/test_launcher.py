"""The launcher with components that are shells: order, failure, restart, what is said and what is written down."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from weir_local.component import CannotStart, Component, Launch, NotReady, Report
from weir_local.launcher import Launcher, UnknownComponent
from weir_local.mesh import Mesh
from weir_local.processes import Processes
from weir_local.status import Status

pytestmark = pytest.mark.usefixtures("processes")


@dataclass
class Fake(Component):
    """A component whose readiness and failures a test decides; it writes down what was done to it."""

    name: str
    journal: list[str]
    depends_on: tuple[str, ...] = ()
    script: str = "exec sleep 60"
    refusals: int = 0
    ready_file: Path | None = None
    reason: str | None = None
    trouble: Exception | None = None
    start_seconds: float = 5
    stop_seconds: float = 1
    environment: dict[str, str] = field(default_factory=dict)
    advice: str = "ask somebody"

    def missing(self, mesh: Mesh) -> str | None:
        return self.reason

    async def prepare(self, mesh: Mesh, report: Report) -> None:
        report(f"preparing {self.name}")
        if self.trouble is not None:
            raise self.trouble

    def launch(self, mesh: Mesh) -> Launch:
        return Launch(("/bin/sh", "-c", self.script), self.environment)

    async def ready(self, mesh: Mesh) -> None:
        if self.ready_file is not None and not self.ready_file.exists():
            raise NotReady(f"no {self.ready_file}")
        if self.refusals > 0:
            self.refusals -= 1
            raise NotReady("not yet")
        self.journal.append(f"{self.name} ready")

    async def settle(self, mesh: Mesh) -> None:
        self.journal.append(f"{self.name} settled")

    def url(self, mesh: Mesh) -> str | None:
        return f"http://{self.name}"


def _states(statuses: list[Status]) -> dict[str, str]:
    return {status.name: status.state for status in statuses}


def _mesh_file(mesh: Mesh) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((mesh.state / "mesh.json").read_text())
    return document


async def test_dependants_wait_until_what_they_need_has_settled(mesh: Mesh) -> None:
    journal: list[str] = []
    components = [
        Fake("c", journal, depends_on=("b",)),
        Fake("b", journal, depends_on=("a",)),
        Fake("a", journal, refusals=2),
    ]
    statuses = await Launcher(mesh, components).up()
    assert _states(statuses) == {"a": "running", "b": "running", "c": "running"}
    assert journal == ["a ready", "a settled", "b ready", "b settled", "c ready", "c settled"]
    written = _mesh_file(mesh)["components"]
    assert written["a"]["state"] == "running"
    assert written["a"]["url"] == "http://a"
    assert written["a"]["pid"] == next(status.pid for status in statuses if status.name == "a")


async def test_a_second_start_starts_nothing(mesh: Mesh) -> None:
    components = [Fake("a", [])]
    first = await Launcher(mesh, components).up()
    second = await Launcher(mesh, components).up()
    assert first[0].pid == second[0].pid


async def test_changed_settings_restart_what_runs(mesh: Mesh) -> None:
    first = await Launcher(mesh, [Fake("a", []), Fake("b", [])]).up()
    second = await Launcher(mesh, [Fake("a", [], environment={"X": "1"}), Fake("b", [])]).up()
    assert first[0].pid != second[0].pid
    assert first[1].pid == second[1].pid


async def test_a_failure_names_its_last_words_and_what_to_do(mesh: Mesh) -> None:
    bad = Fake("a", [], script="echo cannot bind; exit 3", refusals=100)
    statuses = await Launcher(mesh, [bad, Fake("b", [], depends_on=("a",)), Fake("c", [])]).up()
    assert _states(statuses) == {"a": "failed", "b": "failed", "c": "running"}
    failed, dependant, _ = statuses
    assert failed.exit_code == 3
    assert failed.detail == "it ended with exit code 3 before it served"
    assert failed.last_lines == ["cannot bind"]
    assert failed.advice == "ask somebody"
    assert dependant.detail == "it needs a, which did not start"
    assert "a" in dependant.advice


async def test_what_never_serves_fails_at_its_deadline(mesh: Mesh) -> None:
    slow = Fake("a", [], refusals=10_000, start_seconds=0.3)
    began = time.monotonic()
    (status,) = await Launcher(mesh, [slow]).up()
    assert status.state == "failed"
    assert status.detail == "it does not serve after 0 s: not yet"
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("trouble", [CannotStart("no Java here", "install it"), OSError("disk full")])
async def test_trouble_in_preparation_stops_neither_the_others_nor_the_launcher(mesh: Mesh, trouble: Exception) -> None:
    statuses = await Launcher(mesh, [Fake("a", [], trouble=trouble), Fake("b", [])]).up()
    assert _states(statuses) == {"a": "failed", "b": "running"}
    assert statuses[0].detail == str(trouble)
    assert statuses[0].advice == ("install it" if isinstance(trouble, CannotStart) else "ask somebody")


async def test_what_is_left_out_holds_nobody_up(mesh: Mesh) -> None:
    statuses = await Launcher(mesh, [Fake("a", [], reason="not built"), Fake("b", [], depends_on=("a",))]).up()
    assert _states(statuses) == {"a": "left out", "b": "running"}


async def test_only_some(mesh: Mesh) -> None:
    journal: list[str] = []
    components = [Fake("a", journal), Fake("b", journal, depends_on=("a",))]
    assert _states(await Launcher(mesh, components).up(["b"])) == {"b": "running"}
    assert journal == ["b ready", "b settled"]


async def test_an_unknown_name_is_refused_before_anything_is_done(mesh: Mesh) -> None:
    launcher = Launcher(mesh, [Fake("a", [])])
    for call in (launcher.up(["a", "z"]), launcher.down(["z"]), launcher.restart("z")):
        with pytest.raises(UnknownComponent, match="'z'; there are: a"):
            await call
    assert Processes(mesh.state).marked() == []


async def test_down_ends_dependants_first_and_leaves_nothing(mesh: Mesh) -> None:
    journal = mesh.folder() / "journal"

    def script(name: str) -> str:
        return f"trap 'echo {name} >>{journal}; exit 0' TERM; touch {journal}.{name}; while :; do sleep 0.05; done"

    components = [
        Fake("a", [], script=script("a"), ready_file=journal.with_suffix(".a")),
        Fake("b", [], depends_on=("a",), script=script("b"), ready_file=journal.with_suffix(".b")),
    ]
    await Launcher(mesh, components).up()
    assert await Launcher(mesh, components).down() == ["b", "a"]
    assert journal.read_text().split() == ["b", "a"]
    assert Processes(mesh.state).marked() == []
    assert _mesh_file(mesh)["components"]["a"]["state"] == "stopped"
    assert await Launcher(mesh, components).down() == []


async def test_down_finds_what_no_record_names(mesh: Mesh) -> None:
    components = [Fake("a", [])]
    await Launcher(mesh, components).up()
    (mesh.state / "run" / "a.json").unlink()
    assert await Launcher(mesh, components).down() == ["a"]
    await Launcher(mesh, [Fake("gone", [])]).up()  # a component that this version does not know any more
    assert await Launcher(mesh, components).down() == ["2 left-over processes"]
    assert Processes(mesh.state).marked() == []


async def test_a_dead_component_shows_and_restart_mends_it(mesh: Mesh) -> None:
    launcher = Launcher(mesh, [Fake("a", [], script="echo hello; sleep 60"), Fake("b", [])])
    started = await launcher.up()
    assert started[0].pid is not None
    os.kill(started[0].pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while Processes(mesh.state).exit_code("a") is None and time.monotonic() < deadline:
        time.sleep(0.01)
    dead, other = await launcher.status()
    assert (dead.state, dead.exit_code, dead.last_lines) == ("dead", 137, ["hello", "Killed"])
    assert "weir restart a" in dead.advice
    assert other.state == "running"
    (mended,) = await launcher.restart("a")
    assert mended.state == "running"
    assert mended.pid != started[0].pid


async def test_status_tells_alive_from_serving(mesh: Mesh) -> None:
    component = Fake("a", [])
    launcher = Launcher(mesh, [component, Fake("never", [])])
    await launcher.up(["a"])
    component.refusals = 1
    asked, never = await launcher.status()
    assert (asked.state, asked.detail) == ("not serving", "not yet")
    assert never.state == "stopped"


async def test_a_port_that_a_stranger_took_is_chosen_anew(mesh: Mesh) -> None:
    before = mesh.port("a-port")
    component = Fake("a", [])
    component.ports = ("a-port",)
    (status,) = await Launcher(mesh, [component], free=lambda port: port != before).up()
    assert status.state == "running"
    assert mesh.port("a-port") != before
