"""OTLP over gRPC (opentelemetry.proto.collector.trace.v1.TraceService)."""

from __future__ import annotations

import asyncio

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import aio as health
from grpc_health.v1.health_pb2 import HealthCheckResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from weir_local.tracestore.spans import spans_of
from weir_local.tracestore.store import SpanStore

MAX_EXPORT_BYTES = 16 * 1024 * 1024
MAX_CONCURRENT_EXPORTS = 32


class TraceReceiver(TraceServiceServicer):
    """Answers after the spans are stored, so that an exporter that is told "ok" may forget them."""

    def __init__(self, store: SpanStore) -> None:
        self._store = store

    async def Export(  # noqa: N802 - named by the protocol
        self,
        request: ExportTraceServiceRequest,
        context: grpc.aio.ServicerContext[ExportTraceServiceRequest, ExportTraceServiceResponse],
    ) -> ExportTraceServiceResponse:
        await asyncio.to_thread(lambda: self._store.add(list(spans_of(request))))
        return ExportTraceServiceResponse()


async def start_receiver(store: SpanStore, port: int) -> grpc.aio.Server:
    """A started server on 127.0.0.1 with health. Raises RuntimeError if the port is taken."""
    server = grpc.aio.server(
        maximum_concurrent_rpcs=MAX_CONCURRENT_EXPORTS,
        options=(("grpc.max_receive_message_length", MAX_EXPORT_BYTES), ("grpc.so_reuseport", 0)),
    )
    add_TraceServiceServicer_to_server(TraceReceiver(store), server)
    servicer = health.HealthServicer()
    await servicer.set("", HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    return server
