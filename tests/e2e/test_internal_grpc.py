"""gRPC for internal systems: through the gateway's own listener, with a client certificate, health and reflection."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import grpc
import msgspec
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from weir.analytics.v1 import analytics_pb2, analytics_pb2_grpc
from weir.anomaly.v1 import anomaly_pb2, anomaly_pb2_grpc
from weir.fraud.v1 import fraud_pb2, fraud_pb2_grpc
from weir.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from weir_local import certificates
from weir_local.demo import attacks
from weir_local.mesh import Mesh

pytestmark = pytest.mark.e2e

SERVICES = {
    "ingest": "weir.ingest.v1.IngestService",
    "fraud": "weir.fraud.v1.FraudService",
    "anomaly": "weir.anomaly.v1.AnomalyService",
    "analytics": "weir.analytics.v1.AnalyticsService",
    "compliance": "weir.compliance.v1.ComplianceService",
    "tenant-admin": "weir.admin.v1.TenantService",
}


def channel_of(mesh: Mesh, client: str | None) -> grpc.aio.Channel:
    """A channel to the gateway's gRPC listener; without a client's name it shows no certificate."""
    pair = certificates.client_certificate(mesh, client) if client is not None else None
    credentials = grpc.ssl_channel_credentials(
        certificates.ca(mesh).certificate.read_bytes(),
        pair.key.read_bytes() if pair is not None else None,
        pair.certificate.read_bytes() if pair is not None else None,
    )
    return grpc.aio.secure_channel(f"localhost:{mesh.port('gateway-grpc')}", credentials)


@pytest.fixture
async def channel(mesh: Mesh) -> AsyncIterator[grpc.aio.Channel]:
    async with channel_of(mesh, "internal-client") as opened:
        yield opened


def payment(tenant: str) -> bytes:
    return msgspec.json.encode(attacks.payment(tenant, str(uuid.uuid4()), datetime.now(UTC)))


async def test_an_event_is_published_scored_and_seen(channel: grpc.aio.Channel, shop: Any) -> None:
    metadata = (("x-api-key", shop.key),)
    event = payment(shop.tenant_id)
    published = await ingest_pb2_grpc.IngestServiceStub(channel).PublishBatch(
        ingest_pb2.PublishBatchRequest(tenant_id=shop.tenant_id, events=[event, b"{"]), metadata=metadata, timeout=5
    )
    assert [result.status for result in published.results] == [
        ingest_pb2.EVENT_STATUS_ACCEPTED,
        ingest_pb2.EVENT_STATUS_INVALID,
    ]
    found = await ingest_pb2_grpc.IngestServiceStub(channel).GetReceipt(
        ingest_pb2.GetReceiptRequest(tenant_id=shop.tenant_id, event_id=published.results[0].event_id),
        metadata=metadata,
        timeout=5,
    )
    assert found.receipt == published.results[0].receipt
    assert [fate.stage for fate in found.fates] == ["scored", "checked", "counted", "archived"]
    assert found.erasure == ingest_pb2.ERASURE_NONE
    scored = await fraud_pb2_grpc.FraudServiceStub(channel).ScoreTransaction(
        fraud_pb2.ScoreTransactionRequest(tenant_id=shop.tenant_id, event=event), metadata=metadata, timeout=5
    )
    decision = scored.decision
    total = decision.base_value + sum(part.contribution for part in decision.contributions)
    assert total == pytest.approx(decision.margin, abs=1e-6)
    await anomaly_pb2_grpc.AnomalyServiceStub(channel).ListActive(
        anomaly_pb2.ListActiveRequest(tenant_id=shop.tenant_id), metadata=metadata, timeout=5
    )
    await analytics_pb2_grpc.AnalyticsServiceStub(channel).GetDashboard(
        analytics_pb2.GetDashboardRequest(tenant_id=shop.tenant_id), metadata=metadata, timeout=5
    )


async def test_a_stream_of_batches_is_answered_in_order(channel: grpc.aio.Channel, shop: Any) -> None:
    good, again = payment(shop.tenant_id), payment(shop.tenant_id)
    sent = [(7, [good, b"{"], False), (8, [good, again], False), (9, [payment(shop.tenant_id), b"{"], True)]

    async def requests() -> AsyncIterator[ingest_pb2.PublishRequest]:
        for sequence, events, atomic in sent:
            yield ingest_pb2.PublishRequest(tenant_id=shop.tenant_id, sequence=sequence, events=events, atomic=atomic)

    call = ingest_pb2_grpc.IngestServiceStub(channel).Publish(
        requests(), metadata=(("x-api-key", shop.key),), timeout=20
    )
    answers = [(answer.sequence, [result.status for result in answer.results]) async for answer in call]
    accepted, duplicate, invalid, not_taken = (
        ingest_pb2.EVENT_STATUS_ACCEPTED,
        ingest_pb2.EVENT_STATUS_DUPLICATE,
        ingest_pb2.EVENT_STATUS_INVALID,
        ingest_pb2.EVENT_STATUS_NOT_TAKEN,
    )
    assert answers == [(7, [accepted, invalid]), (8, [duplicate, accepted]), (9, [not_taken, invalid])]


async def test_another_tenant_and_no_credential_are_refused(channel: grpc.aio.Channel, make_shop: Any) -> None:
    mine, other = await make_shop(), await make_shop()
    fraud = fraud_pb2_grpc.FraudServiceStub(channel)
    foreign = fraud_pb2.ScoreTransactionRequest(tenant_id=other.tenant_id, event=payment(other.tenant_id))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await fraud.ScoreTransaction(foreign, metadata=(("x-api-key", mine.key),), timeout=5)
    assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await fraud.ScoreTransaction(foreign, timeout=5)
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED


async def test_bad_input_names_the_place(channel: grpc.aio.Channel, shop: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await fraud_pb2_grpc.FraudServiceStub(channel).ScoreTransaction(
            fraud_pb2.ScoreTransactionRequest(tenant_id=shop.tenant_id, event=b"{}"),
            metadata=(("x-api-key", shop.key),),
            timeout=5,
        )
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "/" in (refused.value.details() or "")


@pytest.mark.parametrize("service", list(SERVICES))
async def test_health_and_reflection_of_each_service(channel: grpc.aio.Channel, service: str) -> None:
    metadata = (("x-weir-service", service),)
    health = await health_pb2_grpc.HealthStub(channel).Check(
        health_pb2.HealthCheckRequest(service=SERVICES[service]), metadata=metadata, timeout=5
    )
    assert health.status == health_pb2.HealthCheckResponse.SERVING
    call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
        iter([reflection_pb2.ServerReflectionRequest(list_services="")]), metadata=metadata, timeout=5
    )
    names = {one.name async for answer in call for one in answer.list_services_response.service}
    assert SERVICES[service] in names


async def test_without_a_client_certificate_nobody_comes_in(mesh: Mesh) -> None:
    async with channel_of(mesh, None) as stranger:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await health_pb2_grpc.HealthStub(stranger).Check(health_pb2.HealthCheckRequest(), timeout=3)
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_subject_data_are_not_to_be_had_here(channel: grpc.aio.Channel) -> None:
    unknown = channel.unary_unary("/weir.privacy.v1.SubjectDataService/ExportSubject")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await unknown(b"", timeout=5)
    assert refused.value.code() in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.NOT_FOUND)
