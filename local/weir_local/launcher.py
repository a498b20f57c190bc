"""Starts and ends the components: in parallel as their dependencies allow, each asked until it serves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from weir_local.component import CannotStart, Component
from weir_local.logfiles import rotate, tail
from weir_local.mesh import Mesh
from weir_local.ports import is_free
from weir_local.processes import Processes, Running, settings_digest
from weir_local.status import Observer, State, Status, write_mesh_file

READY_QUESTION_SECONDS = 5.0
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 0.25


class UnknownComponent(Exception):
    """A name that no component has; the text lists those that there are."""


class DidNotServe(Exception):
    """The process ended, or did not answer in time."""


class Launcher:
    """One mesh and its components. Its methods need the mesh's lock, except `status`."""

    def __init__(
        self,
        mesh: Mesh,
        components: Sequence[Component],
        observe: Observer = lambda _: None,
        free: Callable[[int], bool] = is_free,
    ) -> None:
        self._mesh = mesh
        self._components = {component.name: component for component in components}
        self._processes = Processes(mesh.state)
        self._observe = observe
        self._free = free

    async def up(self, only: Sequence[str] | None = None) -> list[Status]:
        """Start what is missing; what runs with the same settings is only asked. Gives one status a component.

        When one fails, the others of this start are finished, not torn down: their logs help to see why.
        """
        chosen = self._choose(only)
        await self._clear_the_way(chosen)
        loop = asyncio.get_running_loop()
        settled: dict[str, asyncio.Future[bool]] = {component.name: loop.create_future() for component in chosen}
        statuses = [Status(component.name, "waiting", log=str(self._mesh.log(component.name))) for component in chosen]

        async def bring(component: Component, status: Status) -> None:
            try:
                settled[component.name].set_result(await self._bring(component, status, settled))
            finally:
                settled[component.name].cancel()  # does nothing unless the line above was interrupted
            self._write([status], started=True)

        async with asyncio.TaskGroup() as group:
            for component, status in zip(chosen, statuses, strict=True):
                group.create_task(bring(component, status), name=component.name)
        return statuses

    async def down(self, only: Sequence[str] | None = None) -> list[str]:
        """Stop dependants before what they depend on; then whatever else carries our marker. Gives what was stopped."""
        left = {component.name: component for component in self._choose(only)}
        stopped: list[str] = []
        while left:
            needed = {name for component in left.values() for name in component.depends_on}
            free = [component for name, component in left.items() if name not in needed] or list(left.values())
            results = await asyncio.gather(*(self._stop(component) for component in free))
            self._write([self._stopped(component) for component in free])
            stopped += [component.name for component, was_running in zip(free, results, strict=True) if was_running]
            for component in free:
                del left[component.name]
        if only is None and (strays := await self._processes.kill_marked()):
            stopped.append(f"{strays} left-over process{'es' if strays > 1 else ''}")
        return stopped

    async def restart(self, name: str) -> list[Status]:
        """Stop one component and start it again."""
        await self.down([name])
        return await self.up([name])

    async def status(self) -> list[Status]:
        """Ask every component now."""
        return list(await asyncio.gather(*(self._ask(component) for component in self._components.values())))

    # ── one component ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _clear_the_way(self, chosen: Sequence[Component]) -> None:
        """End what a killed launcher or component left behind, and give up ports that a stranger took meanwhile.

        Before anything else, because configuration that is rendered later names other components' ports.
        """
        missing = [component for component in chosen if self._processes.alive(component.name) is None]
        if self._processes.marked():
            for component in missing:
                await self._processes.kill_marked(component.name)
        for component in missing:
            for port in component.ports:
                if not self._free(self._mesh.port(port)):
                    self._mesh.ports.replace(port)

    async def _bring(self, component: Component, status: Status, settled: Mapping[str, asyncio.Future[bool]]) -> bool:
        reason = component.missing(self._mesh)
        if reason is not None:
            return self._tell(status, "left out", reason)
        status.url = component.url(self._mesh)
        began = time.monotonic()
        preparing = asyncio.create_task(self._prepare(component, status))
        try:
            for dependency in component.depends_on:
                # One that was left out is no obstacle: whoever needs it says so in its own health.
                if dependency in settled and not await asyncio.shield(settled[dependency]):
                    if self._left_out(dependency):
                        continue
                    status.advice = f"Mend {dependency} first; then `weir up` starts the rest."
                    return self._tell(status, "failed", f"it needs {dependency}, which did not start")
            await preparing
            began = time.monotonic()
            await self._start(component, status)
        except CannotStart as error:
            status.advice = error.advice
            return self._tell(status, "failed", str(error))
        except Exception as error:  # noqa: BLE001 - shown with the component's own last words; the others go on
            status.last_lines = tail(self._mesh.log(component.name))
            status.exit_code = self._processes.exit_code(component.name)
            status.advice = component.advice or f"`weir logs {component.name}` shows all of it."
            return self._tell(status, "failed", _words(error))
        finally:
            await _end(preparing)
        status.seconds = time.monotonic() - began
        return self._tell(status, "running")

    async def _prepare(self, component: Component, status: Status) -> None:
        def report(words: str) -> None:
            self._tell(status, "preparing", words)

        await component.prepare(self._mesh, report)

    async def _start(self, component: Component, status: Status) -> None:
        launch = component.launch(self._mesh)
        running = self._processes.alive(component.name)
        if running is not None and running.settings != settings_digest(launch):
            self._tell(status, "starting", "its settings have changed: restarting")
            await self._stop(component)
            running = None
        if running is None:
            self._tell(status, "starting")
            log = self._mesh.log(component.name)
            log.parent.mkdir(parents=True, exist_ok=True)
            rotate(log)
            running = self._processes.start(component.name, launch, log)
        status.pid = running.identity.pid
        await self._until_ready(component, running, status)
        await component.settle(self._mesh)

    async def _until_ready(self, component: Component, running: Running, status: Status) -> None:
        deadline = time.monotonic() + component.start_seconds
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                async with asyncio.timeout(READY_QUESTION_SECONDS):
                    await component.ready(self._mesh)
            except Exception as error:
                if not running.identity.alive():
                    await asyncio.sleep(pause)  # the shell that waits for it is writing its exit code
                    code = self._processes.exit_code(component.name)
                    ending = "" if code is None else f" with exit code {code}"
                    raise DidNotServe(f"it ended{ending} before it served") from error
                if time.monotonic() > deadline:
                    message = f"it does not serve after {component.start_seconds:.0f} s: {_words(error)}"
                    raise DidNotServe(message) from error
                status.detail = _words(error)
            else:
                return
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)

    async def _ask(self, component: Component) -> Status:
        name = component.name
        status = self._stopped(component)
        last = self._processes.last(name)
        if last is None:
            return status
        status.url = component.url(self._mesh)
        if not last.identity.alive():
            status.state, status.exit_code = "dead", self._processes.exit_code(name)
            status.last_lines = tail(self._mesh.log(name))
            status.advice = f"`weir restart {name}` starts it again."
            return status
        status.pid = last.identity.pid
        status.seconds = time.time() - last.started_at
        try:
            async with asyncio.timeout(READY_QUESTION_SECONDS):
                await component.ready(self._mesh)
        except Exception as error:  # noqa: BLE001 - any answer but yes is shown as it is
            status.state, status.detail = "not serving", _words(error)
            status.last_lines = tail(self._mesh.log(name))
            status.advice = f"`weir logs {name}` shows more; `weir restart {name}` starts it again."
            return status
        status.state = "running"
        return status

    async def _stop(self, component: Component) -> bool:
        was_running = await self._processes.stop(component.name, component.stop_signal, component.stop_seconds)
        self._processes.forget(component.name)
        return was_running

    def _stopped(self, component: Component) -> Status:
        return Status(component.name, "stopped", log=str(self._mesh.log(component.name)))

    def _left_out(self, name: str) -> bool:
        return self._components[name].missing(self._mesh) is not None

    def _tell(self, status: Status, state: State, detail: str = "") -> bool:
        status.state, status.detail = state, detail
        self._observe(status)
        return state == "running"

    def _choose(self, only: Sequence[str] | None) -> list[Component]:
        if only is None:
            return list(self._components.values())
        unknown = [name for name in only if name not in self._components]
        if unknown:
            raise UnknownComponent(f"there is no component {unknown[0]!r}; there are: {', '.join(self._components)}")
        return [component for name, component in self._components.items() if name in only]

    def _write(self, statuses: Sequence[Status], *, started: bool = False) -> None:
        write_mesh_file(self._mesh, list(self._components.values()), statuses, remember_parts=started)


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel if it still runs, and collect what it raised: that was shown, or does not matter any more."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()


def _words(error: BaseException) -> str:
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer in time"
    text = " ".join(str(error).split())
    details = getattr(error, "details", None)  # gRPC's own text is a page long, its details are one line
    if callable(details):
        text = str(details())
    return text[:300] or type(error).__name__
