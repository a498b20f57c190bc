"""Starts and ends the components: in parallel as their dependencies allow, each asked until it serves."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from weir_local.component import CannotStart, Component
from weir_local.mesh import Mesh
from weir_local.ports import is_free
from weir_local.processes import Processes, settings_digest

State = Literal["waiting", "preparing", "starting", "running", "failed", "left out", "stopped", "dead"]

READY_QUESTION_SECONDS = 5.0
LOG_LINES = 15


@dataclass
class Status:
    """What is known of one component. ``seconds`` is from the first step until it served."""

    name: str
    state: State
    detail: str = ""
    url: str | None = None
    pid: int | None = None
    seconds: float | None = None
    log: str | None = None
    advice: str = ""
    last_lines: list[str] | None = None
    exit_code: int | None = None


Observer = Callable[[Status], None]


class Busy(Exception):
    """Another `weir up` or `weir down` of this state directory is at work."""


@contextmanager
def exclusive(mesh: Mesh) -> Iterator[None]:
    """Only one launcher at a time. The lock is a flock, so it dies with its holder."""
    with (mesh.folder() / "launcher.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Busy(f"another weir command is starting or stopping {mesh.state}") from error
        yield


class Launcher:
    """One mesh and its components."""

    def __init__(self, mesh: Mesh, components: Sequence[Component], observe: Observer = lambda _: None) -> None:
        self._mesh = mesh
        self._components = {component.name: component for component in components}
        self._processes = Processes(mesh.state)
        self._observe = observe

    async def up(self, only: Sequence[str] | None = None) -> list[Status]:
        """Start what is missing; what runs with the same settings is only asked. Gives one status a component.

        When one fails the others of this start are finished, not torn down: their logs help to see why.
        """
        chosen = self._choose(only)
        settled: dict[str, asyncio.Future[bool]] = {name: asyncio.get_running_loop().create_future() for name in chosen}
        statuses = {name: Status(name, "waiting", log=str(self._mesh.log(name))) for name in chosen}

        async def bring(component: Component) -> None:
            status = statuses[component.name]
            try:
                good = await self._bring(component, status, settled)
            except BaseException:
                settled[component.name].cancel()
                raise
            settled[component.name].set_result(good)

        async with asyncio.TaskGroup() as group:
            for name in chosen:
                group.create_task(bring(self._components[name]), name=name)
        self._write_state(list(statuses.values()))
        return list(statuses.values())

    async def down(self, only: Sequence[str] | None = None) -> list[str]:
        """Stop dependants before what they depend on; then whatever else carries our marker. Gives what was stopped."""
        chosen = list(only) if only is not None else list(self._components)
        stopped: list[str] = []
        left = {name for name in chosen if name in self._components}
        while left:
            # A component goes when none of those that are left depends on it.
            free = [
                name
                for name in left
                if not any(name in self._components[other].depends_on for other in left if other != name)
            ] or list(left)
            results = await asyncio.gather(*(self._stop(name) for name in free))
            stopped += [name for name, was_running in zip(free, results, strict=True) if was_running]
            left -= set(free)
        if only is None:
            for identity in self._processes.marked():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(identity.pid, signal.SIGKILL)
                stopped.append(f"pid {identity.pid}")
        return stopped

    async def restart(self, name: str) -> list[Status]:
        """Stop one component and start it again."""
        await self.down([name])
        return await self.up([name])

    async def status(self) -> list[Status]:
        """Ask every component now."""

        async def one(component: Component) -> Status:
            name = component.name
            status = Status(name, "stopped", log=str(self._mesh.log(name)), url=component.url(self._mesh))
            last = self._processes.last(name)
            if last is None:
                return status
            if self._processes.alive(name) is None:
                status.state, status.exit_code = "dead", self._processes.exit_code(name)
                status.last_lines = tail(self._mesh.log(name))
                status.advice = component.advice or f"`weir restart {name}` starts it again."
                return status
            status.pid = last.identity.pid
            status.seconds = time.time() - last.started_at
            try:
                async with asyncio.timeout(READY_QUESTION_SECONDS):
                    await component.ready(self._mesh)
            except Exception as error:  # noqa: BLE001 - any answer but yes is shown as it is
                status.state, status.detail = "failed", _words(error)
                return status
            status.state = "running"
            return status

        return list(await asyncio.gather(*(one(component) for component in self._components.values())))

    # ── one component ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _bring(self, component: Component, status: Status, settled: dict[str, asyncio.Future[bool]]) -> bool:
        mesh, name = self._mesh, component.name
        reason = component.missing(mesh)
        if reason is not None:
            return self._tell(status, "left out", reason)
        preparing = asyncio.create_task(self._prepare(component, status))
        try:
            for dependency in component.depends_on:
                if dependency in settled and not await asyncio.shield(settled[dependency]):
                    preparing.cancel()
                    return self._tell(status, "failed", f"needs {dependency}")
            began = time.monotonic()
            await preparing
        except CannotStart as error:
            status.advice = error.advice
            return self._tell(status, "failed", str(error))
        finally:
            preparing.cancel()
        status.url = component.url(mesh)
        try:
            launch = component.launch(mesh)
            running = self._processes.alive(name)
            if running is not None and running.settings != settings_digest(launch):
                self._tell(status, "starting", "its settings have changed: restarting")
                await self._stop(name)
                running = None
            if running is None:
                await self._processes.stop(name, component.stop_signal, component.stop_seconds)
                taken = [port for port in component.ports if not is_free(mesh.port(port))]
                if taken:
                    status.advice = "`weir doctor` shows who holds it; `weir down --purge` chooses new ports."
                    return self._tell(
                        status, "failed", f"port {mesh.port(taken[0])} ({taken[0]}) is in use by another program"
                    )
                self._tell(status, "starting")
                running = self._processes.start(name, launch, mesh.log(name))
            status.pid = running.identity.pid
            await self._until_ready(component, status)
            await component.settle(mesh)
        except CannotStart as error:
            status.advice = error.advice
            return self._tell(status, "failed", str(error))
        except Exception as error:  # noqa: BLE001 - shown with the component's own last words
            status.last_lines = tail(mesh.log(name))
            status.exit_code = self._processes.exit_code(name)
            status.advice = status.advice or component.advice or f"`weir logs {name}` shows all of it."
            return self._tell(status, "failed", _words(error))
        status.seconds = time.monotonic() - began
        return self._tell(status, "running")

    async def _prepare(self, component: Component, status: Status) -> None:
        def report(words: str) -> None:
            self._tell(status, "preparing", words)

        await component.prepare(self._mesh, report)

    async def _until_ready(self, component: Component, status: Status) -> None:
        deadline = time.monotonic() + component.start_seconds
        pause = 0.05
        while True:
            try:
                async with asyncio.timeout(READY_QUESTION_SECONDS):
                    await component.ready(self._mesh)
            except Exception as error:
                if self._processes.alive(component.name) is None:
                    code = self._processes.exit_code(component.name)
                    raise RuntimeError(
                        f"it ended{'' if code is None else f' with code {code}'} before it served"
                    ) from error
                if time.monotonic() > deadline:
                    raise TimeoutError(f"not ready after {component.start_seconds:.0f} s: {_words(error)}") from error
                status.detail = _words(error)
            else:
                return
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.5)

    async def _stop(self, name: str) -> bool:
        component = self._components[name]
        was_running = await self._processes.stop(name, component.stop_signal, component.stop_seconds)
        self._processes.forget(name)
        return was_running

    def _tell(self, status: Status, state: State, detail: str = "") -> bool:
        status.state, status.detail = state, detail
        self._observe(status)
        return state == "running"

    def _choose(self, only: Sequence[str] | None) -> list[str]:
        if only is None:
            return list(self._components)
        unknown = [name for name in only if name not in self._components]
        if unknown:
            raise KeyError(f"there is no component {unknown[0]!r}; there are: {', '.join(self._components)}")
        return [name for name in self._components if name in only]

    def _write_state(self, statuses: Sequence[Status]) -> None:
        path = self._mesh.folder() / "mesh.json"
        known: dict[str, object] = {}
        with contextlib.suppress(FileNotFoundError, ValueError):
            known = json.loads(path.read_text())["components"]
        for status in statuses:
            component = self._components[status.name]
            known[status.name] = {**asdict(status), "ports": {port: self._mesh.port(port) for port in component.ports}}
        draft = path.with_suffix(".draft")
        document = {"state_dir": str(self._mesh.state), "kubernetes": self._mesh.kubernetes, "components": known}
        draft.write_text(json.dumps(document, indent=2) + "\n")
        draft.replace(path)


def tail(log: Path, lines: int = LOG_LINES) -> list[str]:
    """The last lines of a log; empty if there is none."""
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 64_000))
            return file.read().decode(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        return []


async def follow(logs: dict[str, Path]) -> AsyncIterator[tuple[str, str]]:
    """(component, line) as lines are written, from now on; a log that is truncated or made later is picked up."""
    offsets = {name: path.stat().st_size if path.exists() else 0 for name, path in logs.items()}
    while True:
        quiet = True
        for name, path in logs.items():
            if not path.exists():
                continue
            size = path.stat().st_size
            offsets[name] = min(offsets[name], size)
            if size > offsets[name]:
                with path.open("rb") as file:
                    file.seek(offsets[name])
                    chunk = file.read(1_000_000)
                complete = chunk.rfind(b"\n") + 1
                offsets[name] += complete
                for line in chunk[:complete].decode(errors="replace").splitlines():
                    quiet = False
                    yield name, line
        if quiet:
            await asyncio.sleep(0.2)


def _words(error: BaseException) -> str:
    text = " ".join(str(error).split())[:300]
    return text or type(error).__name__
