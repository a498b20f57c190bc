"""One process, one event loop: build, serve until SIGTERM, drain, close in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import structlog
import uvicorn
import uvloop
from starlette.types import ASGIApp

from weir_common.errors import WeirError
from weir_common.grpc import GrpcServer
from weir_common.quiet_heap import quieten_garbage_collector
from weir_common.readiness import Readiness
from weir_common.settings import EdgeSettings
from weir_common.telemetry import setup_telemetry

log = structlog.get_logger(__name__)

_DRAIN_SECONDS = 10.0


@dataclass(frozen=True)
class BackgroundTask:
    """Runs until the event is set; one that ends earlier, or raises, takes the process down with its reason."""

    name: str
    run: Callable[[asyncio.Event], Awaitable[None]]


@dataclass(frozen=True)
class Service:
    """What a composition root gives back."""

    name: str
    readiness: Readiness
    http: ASGIApp | None = None
    grpc: GrpcServer | None = None
    background: Sequence[BackgroundTask] = field(default_factory=tuple)


Build = Callable[..., AbstractAsyncContextManager[Service]]


def run(name: str, settings: EdgeSettings, build: Build) -> None:
    """Run a service to its end; exits 0 after a clean drain, 1 when a part failed. ``build(settings)`` gives the Service."""
    uvloop.install()
    sys.exit(asyncio.run(_run(name, settings, build)))


async def _run(name: str, settings: EdgeSettings, build: Build) -> int:
    async with setup_telemetry(settings.telemetry, f"weir-{name}"):
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, stop.set)
        try:
            async with build(settings) as service:
                quieten_garbage_collector()
                return await serve(service, settings, stop)
        except WeirError as error:
            log.critical("service cannot go on", reason=str(error))
            return 1


async def serve(service: Service, settings: EdgeSettings, stop: asyncio.Event) -> int:
    """Serve until ``stop`` or until a part fails. Order of the end: not ready, edges drain, consumers finish, clients close."""
    parts: dict[asyncio.Task[None], str] = {}
    edges_stop = asyncio.Event()
    background_stop = asyncio.Event()
    http: uvicorn.Server | None = None
    if service.http is not None:
        http = _QuietServer(
            uvicorn.Config(
                service.http,
                host=settings.listen.host,
                port=settings.listen.http_port,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=int(_DRAIN_SECONDS / 2),
                timeout_keep_alive=75,
                backlog=2_048,
                h11_max_incomplete_event_size=65_536,
            )
        )
        parts[asyncio.create_task(http.serve(), name="http")] = "http"
    if service.grpc is not None:
        await service.grpc.start()
        parts[asyncio.create_task(service.grpc.watch_health(edges_stop), name="grpc health")] = "grpc health"
    for task in service.background:
        parts[asyncio.create_task(_as_coroutine(task.run(background_stop)), name=task.name)] = task.name
    stopper = asyncio.create_task(stop.wait(), name="stop")
    log.info("service started", http_port=settings.listen.http_port, grpc_port=settings.listen.grpc_port)
    await asyncio.wait([stopper, *parts], return_when=asyncio.FIRST_COMPLETED)
    failed = _failure({part for part in parts if part.done()}, parts)
    log.info("service stops", reason=failed or "asked to")
    service.readiness.draining = True
    edges_stop.set()
    if http is not None:
        http.should_exit = True
    if service.grpc is not None:
        await service.grpc.stop(_DRAIN_SECONDS / 2)
    background_stop.set()
    _, late = await asyncio.wait(parts, timeout=_DRAIN_SECONDS) if parts else (set(), set())
    for task_ in late:
        log.error("a part did not stop in time", part=parts[task_])
        task_.cancel()
    if late:
        await asyncio.wait(late, timeout=2)
    stopper.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await stopper
    failed = failed or _failure(
        {task_ for task_ in parts if task_.done() and not task_.cancelled()}, parts, ended_is_fault=False
    )
    return 1 if failed else 0


class _QuietServer(uvicorn.Server):
    """uvicorn without its own signal handlers: the process has one."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield


async def _as_coroutine(awaitable: Awaitable[None]) -> None:
    await awaitable


def _failure(
    done: set[asyncio.Task[None]], parts: dict[asyncio.Task[None], str], *, ended_is_fault: bool = True
) -> str | None:
    for task in done:
        error = task.exception() if not task.cancelled() else None
        if error is not None:
            log.critical("a part of the service failed", part=parts[task], error=repr(error), exc_info=error)
            return f"{parts[task]}: {error!r}"
        if task.cancelled():
            # Nobody but this module cancels a part, and it does so at the end only: the cancellation came from within.
            log.critical("a part of the service was cancelled from within", part=parts[task])
            return f"{parts[task]} was cancelled"
        if ended_is_fault:
            log.critical("a part of the service ended by itself", part=parts[task])
            return f"{parts[task]} ended"
    return None
