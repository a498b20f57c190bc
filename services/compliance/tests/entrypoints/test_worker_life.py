"""A worker that goes away and one that comes back: nothing is lost, nothing is done twice."""

import asyncio
import time
from typing import Any

import asyncpg
import pytest
from weir_common.auth import Principal
from weir_common.ids import TenantId
from weir_common.settings import TemporalSettings
from weir_compliance.adapters.export_key import ExportKeyRing
from weir_compliance.adapters.payload_codec import sealing_converter
from weir_compliance.adapters.postgres_regimes import PostgresRegimes
from weir_compliance.adapters.temporal_client import connect
from weir_compliance.adapters.temporal_workflows import TemporalRequestWorkflows
from weir_compliance.domain.request_state import RequestState
from weir_compliance.entrypoints.worker import RequestWorker
from weir_compliance.request_export import RequestExport

pytestmark = pytest.mark.integration


async def test_a_worker_told_to_stop_ends_in_time_and_the_next_one_goes_on(
    idle_deployment: Any, officer: Principal, tenant_id: TenantId
) -> None:
    fraud = idle_deployment.stores["fraud"]
    fraud.hold = asyncio.Event()
    async with idle_deployment.working():
        request = await idle_deployment.ask(officer, tenant_id, "user-1")
        await idle_deployment.until(request, lambda found: found.missing_stores == ["fraud"])
        stopping = time.monotonic()
    assert time.monotonic() - stopping < 9, "the service's own drain is ten seconds"
    fraud.hold.set()
    async with idle_deployment.working():
        done = await idle_deployment.until(request, lambda found: found.state is RequestState.FULFILLED, timeout=60)
    assert done.tasks["fraud"].attempts >= 2
    others = [store for store in idle_deployment.stores.values() if store is not fraud]
    assert [len(store.calls) for store in others] == [1] * 5


async def test_a_request_received_while_temporal_is_away_is_started_when_it_is_back(
    idle_deployment: Any,
    pool: asyncpg.Pool,
    keys: ExportKeyRing,
    clock: Any,
    officer: Principal,
    tenant_id: TenantId,
    unused_port: int,
) -> None:
    nowhere = TemporalSettings(target=f"127.0.0.1:{unused_port}")
    away = TemporalRequestWorkflows(
        pool, await connect(nowhere, sealing_converter(keys), lazy=True), idle_deployment.queue
    )
    idle_deployment.request_export = RequestExport(idle_deployment.requests, PostgresRegimes(pool), away, clock)
    request = await idle_deployment.ask(officer, tenant_id, "user-1")
    assert request.state is RequestState.RECEIVED
    stop = asyncio.Event()
    starter = asyncio.create_task(idle_deployment.workflows.run_starter(stop, interval_seconds=0.1))
    async with idle_deployment.working():
        await idle_deployment.until(request, lambda found: found.state is RequestState.FULFILLED)
    stop.set()
    await starter


async def test_a_worker_waits_for_temporal_and_can_be_stopped_meanwhile(unused_port: int, keys: ExportKeyRing) -> None:
    worker = RequestWorker(TemporalSettings(target=f"127.0.0.1:{unused_port}"), sealing_converter(keys), "queue", [])
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run(stop))
    await asyncio.sleep(0.3)
    assert await worker.health() is not None
    stop.set()
    async with asyncio.timeout(5):
        await running
