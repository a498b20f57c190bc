"""The real autoscaling controller follows a tenant's own load: up when it rises, down when it falls, and not at all when it
is not known. The load is reported on the progress topic as consumers report theirs; everything after that is the mesh.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from weir_common.ids import TenantId
from weir_common.kafka.partitioner import tenant_partitions
from weir_common.kafka.topics import EVENTS, PROGRESS
from weir_common.ops import ConsumerProgress, TenantProgress
from weir_local.demo.api import Gateway
from weir_local.kubernetes.build import program
from weir_local.mesh import Mesh
from weir_tenant_admin.domain.cluster_names import namespace_of, workload_of
from weir_tenant_admin.lag_table import MAX_AGE_SECONDS

pytestmark = [pytest.mark.e2e, pytest.mark.kubernetes]

PATH = "/api/v2/admin/tenant/scale"
SERVICE = "fraud"
REPORT_SECONDS = 0.5

Kubectl = Callable[..., Awaitable[str]]


@pytest.fixture
def kubectl(mesh: Mesh) -> Kubectl:
    """As the administrator."""

    async def run(*arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            str(program(mesh.cache, "kubectl")),
            f"--kubeconfig={mesh.state / 'kubernetes' / 'admin.kubeconfig'}",
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(20):
            output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
        return output.decode()

    return run


@dataclass
class Load:
    """A consumer of one tenant's events that reports a backlog, as a real one does every two seconds.

    It spends 0.1 s on an event and is not the real consumer: the one that is furthest behind counts. Its name is the same
    in each test: a consumer that falls silent for good holds its partitions' tenants for ten minutes.
    """

    tenant: TenantId
    producer: AIOKafkaProducer
    backlog: int | None = 0
    """None: it falls silent."""
    consumer: str = "hpa-test"

    async def run(self) -> None:
        while True:
            if self.backlog is not None:
                await asyncio.gather(*(self._report(partition) for partition in tenant_partitions(self.tenant)))
            await asyncio.sleep(REPORT_SECONDS)

    async def _report(self, partition: int) -> None:
        now = int(time.time() * 1000)
        backlog = self.backlog or 0
        report = ConsumerProgress(
            service=SERVICE,
            consumer=self.consumer,
            instance=self.consumer,
            topic=EVENTS,
            partition=partition,
            position=1_000,
            end_offset=1_000 + backlog // 4,
            reported_at_ms=now,
            position_timestamp_ms=now - 5_000 if backlog else None,
            tenants={self.tenant: TenantProgress(1, busy_seconds=0.1)},
        )
        async with asyncio.timeout(5):
            await self.producer.send_and_wait(PROGRESS, msgspec.json.encode(report), partition=0)


@pytest.fixture
async def tenant(gateway: Gateway, kubectl: Kubectl) -> AsyncIterator[TenantId]:
    made = TenantId(f"hpa-{secrets.token_hex(4)}")
    body = {"tenant_id": made, "name": "HPA", "tier": "enterprise", "vertical": "grocery"}
    (await gateway.operator("POST", "/api/v2/admin/tenants", json=body)).raise_for_status()
    yield made
    await kubectl("delete", "namespace", namespace_of(made), "--ignore-not-found", "--wait=false")


@pytest.fixture
async def load(mesh: Mesh, tenant: TenantId) -> AsyncIterator[Load]:
    producer = AIOKafkaProducer(bootstrap_servers=f"127.0.0.1:{mesh.port('kafka')}", request_timeout_ms=5_000)
    async with asyncio.timeout(10):
        await producer.start()
    made = Load(tenant, producer)
    running = asyncio.create_task(made.run())
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    async with asyncio.timeout(10):
        await producer.stop()


async def scaled(gateway: Gateway, tenant: TenantId, minimum: int, maximum: int) -> dict[str, Any]:
    """Apply bounds and follow the plan to its end."""
    body = {"tenant_id": tenant, "service": SERVICE, "dry_run": False, "min": minimum, "max": maximum}
    async with asyncio.timeout(30):
        # Until each of the tenant's partitions has been reported, the load is not known and nothing may be applied.
        while (answer := await gateway.operator("POST", PATH, json=body)).status_code == 409:
            assert answer.json()["type"].endswith("load-unknown"), answer.text
            await asyncio.sleep(0.3)
    assert answer.status_code == 202, answer.text
    where = answer.headers["location"]
    async with asyncio.timeout(90):
        while True:
            document: dict[str, Any] = (await gateway.operator("GET", where)).json()
            if document["state"] in ("applied", "undone", "failed"):
                return document
            await asyncio.sleep(0.3)


async def replicas(kubectl: Kubectl, tenant: TenantId) -> int:
    text = await kubectl(
        "get", "deployment", workload_of(SERVICE), "-n", namespace_of(tenant), "-o", "jsonpath={.spec.replicas}"
    )
    return int(text)


async def reaches(kubectl: Kubectl, tenant: TenantId, wanted: int, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while await replicas(kubectl, tenant) != wanted:
            await asyncio.sleep(0.5)


async def scaling_active(kubectl: Kubectl, tenant: TenantId) -> tuple[str, str]:
    text = await kubectl("get", "hpa", workload_of(SERVICE), "-n", namespace_of(tenant), "-o", "json")
    [condition] = [one for one in json.loads(text)["status"]["conditions"] if one["type"] == "ScalingActive"]
    return condition["status"], condition["reason"]


@pytest.mark.timeout(240)
async def test_the_controller_follows_the_load_up_and_down_and_holds_when_it_is_not_known(
    gateway: Gateway, kubectl: Kubectl, tenant: TenantId, load: Load
) -> None:
    document = await scaled(gateway, tenant, 1, 4)
    assert (document["state"], document["reason"]) == ("applied", "")
    assert await replicas(kubectl, tenant) == 1

    # 0.1 s an event: 2,000 events in a minute need (2,000 / 60 + rate) · 0.1 ≥ 3.3, so four.
    load.backlog = 2_000
    await reaches(kubectl, tenant, 4, 60)

    # Silence: the last number grows old, then there is none, and the controller must not move.
    load.backlog = None
    async with asyncio.timeout(MAX_AGE_SECONDS + 20):
        while (active := await scaling_active(kubectl, tenant))[0] != "False":
            await asyncio.sleep(0.5)
    assert active[1] == "FailedGetExternalMetric"
    for _ in range(6):
        await asyncio.sleep(1)
        assert await replicas(kubectl, tenant) == 4

    # Five minutes of patience and half a step each thirty seconds are right in production and too long for a test.
    impatient = {"stabilizationWindowSeconds": 0, "policies": [{"type": "Percent", "value": 100, "periodSeconds": 1}]}
    await kubectl(
        *("patch", "hpa", workload_of(SERVICE), "-n", namespace_of(tenant), "--type=merge"),
        *("-p", json.dumps({"spec": {"behavior": {"scaleDown": impatient}}})),
    )
    load.backlog = 0
    await reaches(kubectl, tenant, 1, 60)


@pytest.mark.timeout(120)
async def test_a_plan_that_another_manager_contradicts_is_refused_and_changes_nothing(
    gateway: Gateway, kubectl: Kubectl, tenant: TenantId, load: Load
) -> None:
    assert (await scaled(gateway, tenant, 1, 3))["state"] == "applied"
    hpa = ("hpa", workload_of(SERVICE), "-n", namespace_of(tenant))
    await kubectl("patch", *hpa, "--field-manager=gitops", "--type=merge", "-p", '{"spec": {"maxReplicas": 2}}')
    body = {"tenant_id": tenant, "service": SERVICE, "dry_run": False, "min": 1, "max": 4}
    answer = await gateway.operator("POST", PATH, json=body)
    assert answer.status_code == 409
    assert answer.json()["type"].endswith("not-admitted")
    assert "gitops" in answer.text
    assert await kubectl("get", *hpa, "-o", "jsonpath={.spec.maxReplicas}") == "2"
