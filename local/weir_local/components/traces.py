"""The trace store: our own small OTLP receiver (`weir_local.tracestore`)."""

from __future__ import annotations

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc

from weir_local.component import Component, Launch, NotReady, Precedence, Report
from weir_local.mesh import Mesh, python


class Traces(Component):
    name = "traces"
    ports = ("traces-otlp", "traces-http")

    async def prepare(self, mesh: Mesh, report: Report) -> None:
        mesh.folder("traces")

    def launch(self, mesh: Mesh) -> Launch:
        database = mesh.state / "traces" / "traces.db"
        return Launch(
            (
                *(python(), "-m", "weir_local.tracestore", "--database", str(database)),
                *("--otlp-port", str(mesh.port("traces-otlp")), "--http-port", str(mesh.port("traces-http"))),
            ),
            precedence=Precedence.NOBODY,
        )

    async def ready(self, mesh: Mesh) -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{mesh.port('traces-otlp')}") as channel:
            answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=2)
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            raise NotReady(f"the OTLP receiver says {answer.status}")
        async with httpx.AsyncClient(timeout=2) as client:
            (await client.get(f"{self.url(mesh)}/api/services")).raise_for_status()

    def url(self, mesh: Mesh) -> str | None:
        return f"http://127.0.0.1:{mesh.port('traces-http')}"
