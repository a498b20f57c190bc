"""The Temporal worker, inside the service's own process and loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import structlog
from temporalio.client import Client
from temporalio.runtime import Runtime
from temporalio.worker import Worker
from weir_common.settings import TemporalSettings

from weir_tenant_admin.adapters.temporal_client import connect
from weir_tenant_admin.entrypoints.scale_workflow import ScaleTenantWorkflow

log = structlog.get_logger(__name__)

_GRACE = timedelta(seconds=5)
_MAX_BACKOFF_SECONDS = 5.0
_CONNECT_SECONDS = 10.0


class ScaleWorker:
    """Connects when Temporal is there, works until told to stop."""

    def __init__(
        self,
        temporal: TemporalSettings,
        task_queue: str,
        activities: Sequence[Callable[..., Any]],
        runtime: Runtime | None = None,
    ) -> None:
        self._temporal = temporal
        self._task_queue = task_queue
        self._activities = activities
        self._runtime = runtime

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``. Work in hand gets five seconds, then is given back to the queue by its heartbeat time-out."""
        # Activities log their own failures, as codes; the SDK would print each a second time, with its exception.
        logging.getLogger("temporalio.activity").setLevel(logging.ERROR)
        client = await self._connected(stop)
        if client is None:
            return
        worker = Worker(
            client,
            task_queue=self._task_queue,
            workflows=[ScaleTenantWorkflow],
            activities=self._activities,
            max_concurrent_activities=20,
            graceful_shutdown_timeout=_GRACE,
        )
        running = asyncio.create_task(worker.run(), name="scale worker")
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
            # run() ends by itself only with an error that makes going on impossible; it is raised below.
            if not running.done():
                await worker.shutdown()
            await running
        finally:
            stopping.cancel()

    async def _connected(self, stop: asyncio.Event) -> Client | None:
        delay = 0.2
        while not stop.is_set():
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    return await connect(self._temporal, runtime=self._runtime)
            except (RuntimeError, OSError, TimeoutError) as error:
                log.warning("Temporal does not answer yet", target=self._temporal.target, error=type(error).__name__)
            try:
                async with asyncio.timeout(delay):
                    await stop.wait()
            except TimeoutError:
                delay = min(delay * 2, _MAX_BACKOFF_SECONDS)
        return None
