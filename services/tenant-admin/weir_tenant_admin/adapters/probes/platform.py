"""Probes of Temporal, the gateway, the traces store and the Kubernetes API."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

import aiohttp
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client

from weir_tenant_admin.check_health import Answer
from weir_tenant_admin.domain.health import State

NOT_CONFIGURED = Answer(State.NOT_CONFIGURED, {"reason": "no address was given to tenant-admin"})


class TemporalProbe:
    """Describes the namespace that our workflows run in."""

    name = "temporal"
    kind = "workflows"
    essential = False
    """Exports and scaling wait for it; events, decisions and dashboards do not."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace

    async def ask(self) -> Answer:
        described = await self._client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=self._namespace), timeout=timedelta(seconds=2)
        )
        return Answer(State.UP, {"namespace": described.namespace_info.name})


class GatewayProbe:
    """Envoy's own opinion: ``/ready`` on its admin listener says LIVE once it serves."""

    name = "gateway"
    kind = "edge"
    essential = True

    def __init__(self, http: aiohttp.ClientSession, admin_url: str | None) -> None:
        self._http = http
        self._admin_url = admin_url

    async def ask(self) -> Answer:
        if self._admin_url is None:
            return NOT_CONFIGURED
        async with self._http.get(f"{self._admin_url.rstrip('/')}/ready") as answer:
            text = (await answer.text()).strip()[:80]
        return Answer(State.UP if answer.status == 200 else State.DEGRADED, {"says": text, "status": answer.status})


class TracesProbe:
    """The list of services that the traces store knows."""

    name = "traces"
    kind = "observability"
    essential = False

    def __init__(self, http: aiohttp.ClientSession, url: str | None) -> None:
        self._http = http
        self._url = url

    async def ask(self) -> Answer:
        if self._url is None:
            return NOT_CONFIGURED
        async with self._http.get(f"{self._url.rstrip('/')}/api/services") as answer:
            await answer.read()
        return Answer(State.UP if answer.status == 200 else State.DEGRADED, {"status": answer.status})


class ControlPlane(Protocol):
    """What the probe needs of the Kubernetes adapter."""

    async def version(self) -> str:
        """Asks /readyz first; the server's version."""
        ...


class KubernetesProbe:
    """kube-apiserver's /readyz, which itself asks etcd."""

    name = "kubernetes"
    kind = "control plane"
    essential = False

    def __init__(self, control_plane: ControlPlane | None) -> None:
        self._control_plane = control_plane

    async def ask(self) -> Answer:
        if self._control_plane is None:
            return Answer(State.NOT_CONFIGURED, {"reason": "no kubeconfig was given; plans work, applying does not"})
        return Answer(State.UP, {"version": await self._control_plane.version()})
