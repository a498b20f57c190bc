"""AnalyticsService and SubjectDataService over a real channel on this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from weir.analytics.v1 import analytics_pb2, analytics_pb2_grpc
from weir.privacy.v1 import subject_data_pb2, subject_data_pb2_grpc
from weir_analytics.adapters.memory_books import MemoryBooks
from weir_analytics.domain.catalogue import load_catalogue
from weir_analytics.domain.rollup import Cell
from weir_analytics.entrypoints.grpc import AnalyticsServicer
from weir_analytics.entrypoints.subject_data import AnalyticsSubjectData
from weir_analytics.export_subject import ExportedRecord, ExportSubject, Subject
from weir_analytics.ports import Changes
from weir_analytics.read_dashboard import ReadDashboard
from weir_common.auth import Authenticator, Principal, Role
from weir_common.grpc import GrpcServer, grpc_channel
from weir_common.ids import TenantId
from weir_common.readiness import Readiness

pytestmark = pytest.mark.integration
CATALOGUE = load_catalogue()
NOON = int(datetime(2026, 11, 25, 12, 0, tzinfo=UTC).timestamp())


class Analyst(Authenticator):
    """Everybody is the analyst of tenant t."""

    def __init__(self) -> None:
        pass

    def authenticate(self, *, api_key: str | None, authorization: str | None) -> Principal:
        return Principal(TenantId("t"), "key:1", "machine", frozenset({Role.ANALYST}))


class OneRecord(ExportSubject):
    """Holds one event of Ann's."""

    def __init__(self) -> None:
        pass

    async def __call__(self, tenant_id: TenantId, subject: Subject) -> AsyncIterator[ExportedRecord]:
        if "ann" in subject.users:
            yield ExportedRecord("analytics.event", "1", b"{}")


@pytest.fixture
async def channel() -> AsyncIterator[grpc.aio.Channel]:
    books = MemoryBooks()
    await (await books.of(TenantId("t"))).store(
        Changes(
            counters={
                Cell("total_sales", 60, NOON, ("USD",)): (Decimal("10.50"), Decimal(2)),
                Cell("average_order_value", 60, NOON, ("USD",)): (Decimal(10), Decimal(3)),
                Cell("top_categories", 60, NOON, ("USD", "Toys")): (Decimal(1), Decimal(1)),
            }
        )
    )
    servicer = AnalyticsServicer(ReadDashboard(CATALOGUE, books), CATALOGUE, Analyst())
    server = GrpcServer(
        "127.0.0.1",
        0,
        [
            partial(analytics_pb2_grpc.add_AnalyticsServiceServicer_to_server, servicer),
            partial(subject_data_pb2_grpc.add_SubjectDataServiceServicer_to_server, AnalyticsSubjectData(OneRecord())),
        ],
        ["weir.analytics.v1.AnalyticsService"],
        Readiness(),
    )
    await server.start()
    async with grpc_channel(f"127.0.0.1:{server.port}") as opened:
        yield opened
    await server.stop(0)


def request(tenant: str = "t", minutes: int = 3) -> analytics_pb2.GetDashboardRequest:
    return analytics_pb2.GetDashboardRequest(
        tenant_id=tenant, start_time=Timestamp(seconds=NOON), end_time=Timestamp(seconds=NOON + 60 * minutes)
    )


async def test_the_dashboard(channel: grpc.aio.Channel) -> None:
    answer = await analytics_pb2_grpc.AnalyticsServiceStub(channel).GetDashboard(request())
    metrics = {figures.metric: figures for figures in answer.metrics}
    assert sorted(metrics) == [metric.name for metric in CATALOGUE]
    (sales,) = metrics["total_sales"].figures
    assert (dict(sales.dimensions), sales.value.total.value, sales.value.total.count) == (
        {"currency": "USD"},
        "10.50",
        2,
    )
    assert [point.total.value for point in metrics["total_sales"].series[0].points] == ["10.50", "0", "0"]
    (order_value,) = metrics["average_order_value"].figures
    assert order_value.value.ratio.value == "3.333333333"
    assert not metrics["session_conversion_rate"].figures[0].value.ratio.HasField("value")
    assert metrics["active_people"].figures[0].value.distinct.exact
    assert not metrics["page_load_p95"].figures[0].value.quantile.HasField("value")
    assert metrics["top_categories"].figures[0].value.top.places[0].item == "Toys"
    assert answer.step_seconds == 60
    assert not answer.freshness.HasField("applied_time")


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (request(tenant="u"), grpc.StatusCode.PERMISSION_DENIED),
        (request(tenant=""), grpc.StatusCode.INVALID_ARGUMENT),
        (request(minutes=-1), grpc.StatusCode.INVALID_ARGUMENT),
        (request(minutes=10**9), grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_refusals(channel: grpc.aio.Channel, asked: Any, code: grpc.StatusCode) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await analytics_pb2_grpc.AnalyticsServiceStub(channel).GetDashboard(asked)
    assert caught.value.code() is code


async def test_the_catalogue(channel: grpc.aio.Channel) -> None:
    answer = await analytics_pb2_grpc.AnalyticsServiceStub(channel).ListMetrics(analytics_pb2.ListMetricsRequest())
    assert [metric.name for metric in answer.metrics] == [metric.name for metric in CATALOGUE]
    assert all(metric.additivity and metric.trap and metric.filter for metric in answer.metrics)


@pytest.mark.parametrize(("user", "records"), [("ann", 1), ("bob", 0)])
async def test_an_export_ends_with_one_summary(channel: grpc.aio.Channel, user: str, records: int) -> None:
    asked = subject_data_pb2.ExportSubjectRequest(
        tenant_id="t", subject=subject_data_pb2.SubjectIdentifiers(user_ids=[user])
    )
    items = [item async for item in subject_data_pb2_grpc.SubjectDataServiceStub(channel).ExportSubject(asked)]
    assert [item.WhichOneof("item") for item in items] == ["record"] * records + ["summary"]
    assert items[-1].summary.records == records
    assert {info.category for info in items[-1].summary.processing} >= {"analytics.event"}


async def test_an_export_of_nobody_is_refused(channel: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in subject_data_pb2_grpc.SubjectDataServiceStub(channel).ExportSubject(
            subject_data_pb2.ExportSubjectRequest(tenant_id="t")
        ):
            pass
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
