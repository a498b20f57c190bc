"""A deployment of compliance in the test's own process: real PostgreSQL, Temporal and gRPC, services that the test
scripts.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import grpc
import grpc.aio
import pytest
from temporalio.client import Client
from weir.privacy.v1 import subject_data_pb2, subject_data_pb2_grpc
from weir_common.auth import Principal
from weir_common.grpc import grpc_channel
from weir_common.ids import TenantId
from weir_common.privacy.bootstrap import vault_in_memory
from weir_compliance.adapters.age_files import new_identity, recipient_of
from weir_compliance.adapters.export_files import ExportFiles
from weir_compliance.adapters.export_key import ExportKey, ExportKeyRing
from weir_compliance.adapters.payload_codec import sealing_converter
from weir_compliance.adapters.postgres_audit import PostgresAuditLog
from weir_compliance.adapters.postgres_regimes import PostgresRegimes
from weir_compliance.adapters.postgres_requests import PostgresSubjectRequests
from weir_compliance.adapters.subject_data_client import GrpcSubjectData
from weir_compliance.adapters.temporal_client import connect
from weir_compliance.adapters.temporal_workflows import TemporalRequestWorkflows
from weir_compliance.collect_store import CollectStore
from weir_compliance.domain.subject import Subject
from weir_compliance.domain.subject_request import Particulars, SubjectRequest
from weir_compliance.entrypoints.activities import RequestActivities
from weir_compliance.entrypoints.worker import RequestWorker
from weir_compliance.escalate_request import EscalateRequest
from weir_compliance.expire_export import ExpireExport
from weir_compliance.pack_archive import PackArchive
from weir_compliance.plan_request import PlanRequest
from weir_compliance.request_export import ExportCommand, RequestExport
from weir_compliance.reveal_subject import RevealSubject
from weir_compliance.settings import ExportSettings, Settings

# Known, so that recorded histories can be replayed later.
HISTORY_KEY = ExportKey.of(b"the key of recorded histories 32")


@dataclass
class Store(subject_data_pb2_grpc.SubjectDataServiceServicer):
    """One service: what it holds, and how it misbehaves. Not served until `start`."""

    name: str
    records: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    refusal: tuple[grpc.StatusCode, str] | None = None
    hold: asyncio.Event | None = None
    calls: list[subject_data_pb2.ExportSubjectRequest] = field(default_factory=list)
    port: int = 0
    _server: grpc.aio.Server | None = None

    async def ExportSubject(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self.calls.append(request)
        if self.refusal is not None:
            await context.abort(*self.refusal)
        for category, record_id, data in self.records:
            yield subject_data_pb2.ExportSubjectResponse(
                record=subject_data_pb2.SubjectRecord(
                    category=category, record_id=record_id, json=json.dumps(data).encode()
                )
            )
        if self.hold is not None:
            await self.hold.wait()
        yield subject_data_pb2.ExportSubjectResponse(
            summary=subject_data_pb2.SubjectSummary(
                records=len(self.records),
                explanation="all of it",
                processing=[
                    subject_data_pb2.ProcessingInfo(
                        category="thing", purpose="to test", legal_basis="Art. 6(1)(f)", retention="a day"
                    )
                ],
            )
        )

    async def start(self) -> None:
        server = grpc.aio.server()
        subject_data_pb2_grpc.add_SubjectDataServiceServicer_to_server(self, server)
        self.port = server.add_insecure_port(f"127.0.0.1:{self.port}")
        await server.start()
        self._server = server

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(0)
            self._server = None


@dataclass
class Deployment:
    """What a test drives and looks at."""

    stores: dict[str, Store]
    requests: PostgresSubjectRequests
    workflows: TemporalRequestWorkflows
    request_export: RequestExport
    files: ExportFiles
    client: Client
    folder: Path
    queue: str
    new_worker: Callable[[], RequestWorker]

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """A worker runs meanwhile, and is shut down as by SIGTERM at the end."""
        stop = asyncio.Event()
        running = asyncio.create_task(self.new_worker().run(stop))
        try:
            yield
        finally:
            stop.set()
            await running

    async def ask(self, caller: Principal, tenant_id: TenantId, user_id: str, **changes: Any) -> SubjectRequest:
        members: dict[str, Any] = {
            "tenant_id": tenant_id,
            "regime": "gdpr",
            "particulars": Particulars(Subject((user_id,)), "ticket", "because"),
            "recipient": None,
            "idempotency_key": None,
            "body_digest": b"d" * 32,
        }
        return (await self.request_export(caller, ExportCommand(**(members | changes)))).request

    async def until(
        self, request: SubjectRequest, condition: Callable[[SubjectRequest], bool], timeout: float = 30
    ) -> SubjectRequest:
        """The request once the condition holds; the last state in the failure's message."""
        found: SubjectRequest | None = None
        try:
            async with asyncio.timeout(timeout):
                while True:
                    found = await self.requests.find(request.tenant_id, request.request_id)
                    assert found is not None
                    if condition(found):
                        return found
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"not within {timeout} s; last seen: {found}") from None


@pytest.fixture
def periods() -> dict[str, float]:
    """Changed periods of `ExportSettings`; a test gives its own by parametrizing this name."""
    return {}


@pytest.fixture
def exports(tmp_path: Path, periods: dict[str, float]) -> ExportSettings:
    return ExportSettings.model_validate({"dir": tmp_path / "exports", "key_path": tmp_path / "unused"} | periods)


@pytest.fixture
async def idle_deployment(
    mesh_settings: Settings, pool: asyncpg.Pool, exports: ExportSettings
) -> AsyncIterator[Deployment]:
    """Six stores that hold nothing yet, a task queue of its own, and no worker."""
    async with _deploy(mesh_settings, pool, exports) as deployed:
        yield deployed


@pytest.fixture
async def deployment(idle_deployment: Deployment) -> AsyncIterator[Deployment]:
    """With a worker."""
    async with idle_deployment.working():
        yield idle_deployment


@asynccontextmanager
async def _deploy(mesh_settings: Settings, pool: asyncpg.Pool, exports: ExportSettings) -> AsyncIterator[Deployment]:
    keys = ExportKeyRing([HISTORY_KEY])
    queue = f"weir.compliance.test.{uuid4()}"
    async with AsyncExitStack() as stack:
        stores = {
            name: Store(name) for name in ("ingest", "fraud", "anomaly", "analytics", "tenant-admin", "compliance")
        }
        channels = {}
        for store in stores.values():
            await store.start()
            stack.push_async_callback(store.stop)
            channels[store.name] = await stack.enter_async_context(grpc_channel(f"127.0.0.1:{store.port}"))
        converter = sealing_converter(keys)
        client = await connect(mesh_settings.temporal, converter)
        requests = PostgresSubjectRequests(pool, keys, queue, lambda: None)
        files = ExportFiles(exports.dir)
        workflows = TemporalRequestWorkflows(pool, client, queue)
        activities = RequestActivities(
            plan=PlanRequest(requests, tuple(stores), new_identity),
            collect=CollectStore(
                requests,
                GrpcSubjectData(
                    channels,
                    timeout_seconds=exports.store_timeout_seconds,
                    idle_seconds=exports.store_idle_seconds,
                ),
                files,
                RevealSubject(vault_in_memory().vault),
                recipient_of,
                utc_now,
            ),
            pack=PackArchive(
                requests, files, PostgresAuditLog(pool, keys), new_identity, utc_now, exports.link_seconds
            ),
            escalate=EscalateRequest(requests, utc_now),
            expire=ExpireExport(requests, files),
            exports=exports,
        )
        yield Deployment(
            stores=stores,
            requests=requests,
            workflows=workflows,
            request_export=RequestExport(requests, PostgresRegimes(pool), workflows, utc_now),
            files=files,
            client=client,
            folder=exports.dir,
            queue=queue,
            new_worker=lambda: RequestWorker(mesh_settings.temporal, converter, queue, activities.all()),
        )


def utc_now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def unused_port() -> int:
    """Where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
