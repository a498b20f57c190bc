"""The internal edge over real gRPC: what callers send, what they get, and the subject's own requests."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from functools import partial
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import json_format
from weir.compliance.v1 import compliance_pb2, compliance_pb2_grpc
from weir.privacy.v1 import subject_data_pb2, subject_data_pb2_grpc
from weir_common.grpc import GrpcServer, grpc_channel
from weir_common.ids import TenantId
from weir_common.readiness import Readiness
from weir_compliance.adapters.subject_data_client import GrpcSubjectData
from weir_compliance.domain.deadline import AnswerPeriod
from weir_compliance.domain.subject import Subject
from weir_compliance.entrypoints.grpc_compliance import GrpcCompliance
from weir_compliance.entrypoints.grpc_subject_data import CATEGORY, ComplianceSubjectData
from weir_compliance.errors import StoreRefusedError, StoreUnavailableError
from weir_compliance.fetch_export import FetchExport
from weir_compliance.ports import SubjectRecord, SubjectSummary
from weir_compliance.request_export import RequestExport

pytestmark = pytest.mark.integration  # it opens sockets, on this machine only


class OneRegime:
    async def answer_period(self, regime: str, kind: str) -> tuple[AnswerPeriod, frozenset[date]] | None:
        return (AnswerPeriod(1, 0, True), frozenset()) if regime == "gdpr" else None


class NoWorkflows:
    async def start_waiting(self) -> None:
        return None


@pytest.fixture
async def channel(
    memory_requests: Any, recorded_audit: Any, empty_audit_log: Any, clock: Any
) -> AsyncIterator[grpc.aio.Channel]:
    compliance = GrpcCompliance(
        RequestExport(memory_requests, OneRegime(), NoWorkflows(), clock),  # type: ignore[arg-type]
        FetchExport(memory_requests, recorded_audit, clock),
        empty_audit_log,
    )
    server = GrpcServer(
        "127.0.0.1",
        0,
        [
            partial(compliance_pb2_grpc.add_ComplianceServiceServicer_to_server, compliance),
            partial(
                subject_data_pb2_grpc.add_SubjectDataServiceServicer_to_server, ComplianceSubjectData(memory_requests)
            ),
        ],
        ["weir.compliance.v1.ComplianceService", "weir.privacy.v1.SubjectDataService"],
        Readiness(),
    )
    await server.start()
    async with grpc_channel(f"127.0.0.1:{server.port}") as opened:
        yield opened
    await server.stop(0)


def ask(tenant_id: TenantId, /, **changes: Any) -> compliance_pb2.StartExportRequest:
    members: dict[str, Any] = {
        "tenant_id": tenant_id,
        "subject": subject_data_pb2.SubjectIdentifiers(user_ids=["planted-1"], anonymous_ids=["cookie-1"]),
        "requested_by": "service:console",
        "idempotency_key": "once",
        "reference": "ticket-1",
    }
    return compliance_pb2.StartExportRequest(**(members | changes))


async def test_an_export_is_started_followed_and_started_only_once(
    channel: grpc.aio.Channel, tenant_id: TenantId
) -> None:
    stub = compliance_pb2_grpc.ComplianceServiceStub(channel)
    first = (await stub.StartExport(ask(tenant_id))).request
    again = (await stub.StartExport(ask(tenant_id))).request
    assert first.request_id == again.request_id
    assert first.status == compliance_pb2.RIGHTS_STATUS_OPEN
    assert first.due_at.ToDatetime().date() == date(2026, 12, 26)
    found = await stub.GetSubjectRequest(
        compliance_pb2.GetSubjectRequestRequest(tenant_id=tenant_id, request_id=first.request_id)
    )
    assert found.request == first
    assert "planted" not in json_format.MessageToJson(found)


@pytest.mark.parametrize(
    "changes",
    [
        {"tenant_id": ""},
        {"tenant_id": "a/b"},
        {"subject": None},
        {"regime": "lgpd"},
        {"recipient": "nonsense"},
        {"requested_by": ""},
        {"idempotency_key": ""},
    ],
)
async def test_what_cannot_be_carried_out_is_refused(
    channel: grpc.aio.Channel, tenant_id: TenantId, changes: dict[str, Any]
) -> None:
    stub = compliance_pb2_grpc.ComplianceServiceStub(channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.StartExport(ask(tenant_id, **changes))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("request_id", "code"),
    [("01a21146-6824-74a8-b4ba-793bf0d4df8d", grpc.StatusCode.NOT_FOUND), ("x", grpc.StatusCode.INVALID_ARGUMENT)],
)
async def test_a_request_that_is_not_there(
    channel: grpc.aio.Channel, tenant_id: TenantId, request_id: str, code: grpc.StatusCode
) -> None:
    stub = compliance_pb2_grpc.ComplianceServiceStub(channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.GetSubjectRequest(
            compliance_pb2.GetSubjectRequestRequest(tenant_id=tenant_id, request_id=request_id)
        )
    assert caught.value.code() is code


async def test_the_head_of_an_empty_log(channel: grpc.aio.Channel, tenant_id: TenantId) -> None:
    stub = compliance_pb2_grpc.ComplianceServiceStub(channel)
    head = await stub.GetAuditHead(compliance_pb2.GetAuditHeadRequest(tenant_id=tenant_id))
    assert (head.log_id, head.size, head.hash) == (f"weir.audit/{tenant_id}", 0, bytes(32))


async def test_compliance_exports_the_requests_about_the_subject_itself(
    channel: grpc.aio.Channel, tenant_id: TenantId, new_request: Any, memory_requests: Any, audit_entry: Any
) -> None:
    about = new_request()
    await memory_requests.receive(about, audit_entry())
    source = GrpcSubjectData({"compliance": channel}, timeout_seconds=5, idle_seconds=5)

    async def answer(subject: Subject) -> list[SubjectRecord | SubjectSummary]:
        return [item async for item in source.records("compliance", tenant_id, about.request_id, subject, [])]

    record, summary = await answer(Subject((), ("cookie-1",)))
    assert isinstance(record, SubjectRecord)
    assert (record.category, record.record_id) == (CATEGORY, str(about.request_id))
    assert b'"ticket-1"' in record.json
    assert isinstance(summary, SubjectSummary)
    assert summary.records == 1
    assert summary.processing[0].category == CATEGORY
    (nothing,) = await answer(Subject(("nobody",)))
    assert isinstance(nothing, SubjectSummary)
    assert nothing.records == 0


async def test_a_store_that_is_not_there_is_asked_again_and_an_unknown_one_is_not(
    unused_port: int, tenant_id: TenantId, new_request: Any
) -> None:
    request = new_request()
    async with grpc_channel(f"127.0.0.1:{unused_port}") as nowhere:
        source = GrpcSubjectData({"fraud": nowhere}, timeout_seconds=2, idle_seconds=2)
        for store, error, code in (
            ("fraud", StoreUnavailableError, "unavailable"),
            ("x", StoreRefusedError, "unknown_store"),
        ):
            with pytest.raises(error) as caught:
                async for _ in source.records(store, tenant_id, request.request_id, Subject(("a",)), ["sub_a"]):
                    pass
            assert caught.value.code == code


@pytest.mark.parametrize(("timeout", "idle", "code"), [(5, 0.2, "idle"), (0.2, 5, "deadline_exceeded")])
async def test_a_store_that_stands_still_is_given_up_on(
    tenant_id: TenantId, new_request: Any, timeout: float, idle: float, code: str
) -> None:
    class Still(subject_data_pb2_grpc.SubjectDataServiceServicer):
        ended = asyncio.Event()

        async def ExportSubject(self, request: Any, context: Any) -> AsyncIterator[Any]:
            yield subject_data_pb2.ExportSubjectResponse(record=subject_data_pb2.SubjectRecord(json=b"{}"))
            try:
                await asyncio.sleep(60)
            finally:
                self.ended.set()

    still = Still()
    server = grpc.aio.server()
    subject_data_pb2_grpc.add_SubjectDataServiceServicer_to_server(still, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc_channel(f"127.0.0.1:{port}") as channel:
        source = GrpcSubjectData({"fraud": channel}, timeout_seconds=timeout, idle_seconds=idle)
        items = source.records("fraud", tenant_id, new_request().request_id, Subject(("a",)), ["sub_a"])
        assert isinstance(await anext(items), SubjectRecord)
        with pytest.raises(StoreUnavailableError) as caught:
            await anext(items)
        assert caught.value.code == code
        async with asyncio.timeout(5):
            await still.ended.wait()
    await server.stop(0)
