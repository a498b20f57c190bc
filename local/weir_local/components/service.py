"""The six services, each ``python -m weir_<service>``; they migrate their own schema at start."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from importlib.util import find_spec

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc

from weir_local.addresses import environment_of
from weir_local.component import CannotStart, Component, Launch, NotReady, Precedence, Report
from weir_local.environment import package_of
from weir_local.mesh import Mesh, python

TRAINING_SECONDS = 300
PRECEDENCE = {
    "ingest": Precedence.MACHINE,
    "anomaly": Precedence.NOBODY,
    "analytics": Precedence.NOBODY,
    "compliance": Precedence.NOBODY,
}
"""Of the others a shopper waits: tenant-admin answers the gateway's credential check."""


@dataclass(frozen=True)
class WeirService(Component):
    """One service; ready when its gRPC health says SERVING and ``/readyz`` answers 200."""

    name: str = ""
    depends_on: tuple[str, ...] = ("postgres", "valkey", "kafka", "links", "temporal", "kube-apiserver")
    ports: tuple[str, ...] = field(default=())
    stop_seconds: float = 20

    def missing(self, mesh: Mesh) -> str | None:
        package = package_of(self.name)
        return None if find_spec(f"{package}.__main__") is not None else f"{package} cannot be run yet"

    async def prepare(self, mesh: Mesh, report: Report) -> None:
        if self.name != "fraud":
            return
        # It looks first whether the model is current, and is done in a tenth of a second if so.
        report("training the fraud model")
        process = await asyncio.create_subprocess_exec(
            *(python(), "-m", "weir_fraud.training", "--output", str(mesh.folder("models"))),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(TRAINING_SECONDS):
            output, _ = await process.communicate()
        if process.returncode != 0:
            raise CannotStart(
                f"the fraud model could not be trained: {output.decode(errors='replace').strip()[-2000:]}",
                f"Run `{python()} -m weir_fraud.training --output {mesh.state / 'models'}` to see it whole.",
            )

    def launch(self, mesh: Mesh) -> Launch:
        return Launch(
            (python(), "-m", package_of(self.name)),
            environment_of(mesh, self.name),
            precedence=PRECEDENCE.get(self.name, Precedence.SHOPPER),
        )

    async def ready(self, mesh: Mesh) -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{mesh.port(f'{self.name}-grpc')}") as channel:
            answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=2)
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            raise NotReady("gRPC health says that it does not serve yet")
        async with httpx.AsyncClient(timeout=2) as client:
            reply = await client.get(f"http://127.0.0.1:{mesh.port(f'{self.name}-http')}/readyz")
        if reply.status_code != 200:
            raise NotReady(f"/readyz: {reply.text[:300]}")

    def url(self, mesh: Mesh) -> str | None:
        return f"http://127.0.0.1:{mesh.port(f'{self.name}-http')}/docs/{self.name}"


def weir_service(name: str) -> WeirService:
    """The component of a service."""
    return WeirService(name=name, ports=(f"{name}-http", f"{name}-grpc"))
