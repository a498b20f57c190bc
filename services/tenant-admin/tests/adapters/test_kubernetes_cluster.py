"""The adapter against the real kube-apiserver and autoscaling controller of the mesh, with tenant-admin's own rights."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from weir_common.ids import TenantId
from weir_local.kubernetes.build import program
from weir_local.mesh import Mesh, default_cache_directory, default_state_directory
from weir_tenant_admin.adapters.kubernetes_cluster import KubernetesCluster
from weir_tenant_admin.domain.manifests import Manner, Target
from weir_tenant_admin.errors import AdmissionDenied, ApplyConflict, ControlPlaneUnavailable
from weir_tenant_admin.ports import Snapshot

pytestmark = pytest.mark.kubernetes

MANNER = Manner("weir/{service}:dev", 300, 30)
NOTHING = Snapshot(None, None, None)


@pytest.fixture
def mesh() -> Mesh:
    return Mesh.at(default_state_directory(os.environ, Path(__file__).parent), default_cache_directory(os.environ))


@pytest.fixture
def cluster(mesh: Mesh) -> KubernetesCluster:
    return KubernetesCluster(mesh.state / "kubernetes" / "tenant-admin.kubeconfig", MANNER, 5)


@pytest.fixture
def kubectl(mesh: Mesh) -> Callable[..., object]:
    """As the administrator: somebody else than tenant-admin."""

    async def run(*arguments: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            str(program(mesh.cache, "kubectl")),
            f"--kubeconfig={mesh.state / 'kubernetes' / 'admin.kubeconfig'}",
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(20):
            output, _ = await process.communicate()
        return process.returncode or 0, output.decode()

    return run


@pytest.fixture
async def target(new_tenant_id: Callable[[], TenantId], kubectl: Callable[..., object]) -> AsyncIterator[Target]:
    made = Target(new_tenant_id(), "fraud", 2, 5)
    yield made
    await kubectl("delete", "namespace", made.namespace, "--ignore-not-found", "--wait=false")  # type: ignore[misc]


async def test_the_version_is_the_servers(cluster: KubernetesCluster) -> None:
    # Our build carries no release stamp, so it calls itself v0.0.0.
    assert (await cluster.version()).startswith("v")


async def test_a_preview_changes_nothing_and_says_what_would_be(cluster: KubernetesCluster, target: Target) -> None:
    first = await cluster.preview(target)
    assert [preview.admission for preview in first] == ["allowed", "not tried", "not tried"]
    assert await cluster.snapshot(target) == NOTHING
    await cluster.apply(target)
    wider = Target(target.tenant_id, target.service, 2, 7)
    previews = await cluster.preview(wider)
    assert [preview.admission for preview in previews] == ["allowed"] * 3
    assert previews[2].changes == (("/maxReplicas", 5, 7),)
    assert (await cluster.snapshot(target)).maximum == 5


async def test_the_controller_takes_it_up_and_raises_it_to_the_minimum(
    cluster: KubernetesCluster, target: Target
) -> None:
    # Ingest consumes nothing, so its load is never reported, whichever services run beside this test.
    target = Target(target.tenant_id, "ingest", 2, 5)
    await cluster.apply(target)
    async with asyncio.timeout(20):
        while (await cluster.snapshot(target)).replicas != 2:
            await asyncio.sleep(0.2)
    # Nobody measures it: 404, so the controller says that it cannot read the metric, and nothing more happens.
    async with asyncio.timeout(20):
        while (answer := await cluster.follows(target)).reason != "FailedGetExternalMetric":
            await asyncio.sleep(0.2)
    assert not answer.acted
    assert answer.replicas == 2


async def test_what_was_not_there_is_removed_and_again_is_no_error(cluster: KubernetesCluster, target: Target) -> None:
    await cluster.apply(target)
    for _ in range(2):
        await cluster.restore(target, NOTHING)
        assert await cluster.snapshot(target) == NOTHING


async def test_former_bounds_come_back(cluster: KubernetesCluster, target: Target) -> None:
    await cluster.apply(target)
    before = await cluster.snapshot(target)
    wider = Target(target.tenant_id, target.service, 1, 9)
    await cluster.apply(wider)
    assert (await cluster.snapshot(wider)).maximum == 9
    await cluster.restore(wider, before)
    after = await cluster.snapshot(target)
    assert (after.minimum, after.maximum) == (2, 5)


async def test_another_managers_field_is_a_conflict_and_nothing_is_forced(
    cluster: KubernetesCluster, target: Target, kubectl: Callable[..., object]
) -> None:
    await cluster.apply(target)
    code, text = await kubectl(  # type: ignore[misc]
        *("patch", "hpa", target.name, "-n", target.namespace, "--field-manager=gitops", "--type=merge"),
        *("-p", '{"spec": {"maxReplicas": 3}}'),
    )
    assert code == 0, text
    with pytest.raises(ApplyConflict) as refused:
        await cluster.apply(Target(target.tenant_id, target.service, 2, 8))
    assert refused.value.conflicts[0][1] == ".spec.maxReplicas"
    assert "gitops" in refused.value.conflicts[0][0]
    assert (await cluster.snapshot(target)).maximum == 3
    assert [preview.admission for preview in await cluster.preview(target)][2] == "denied"


async def test_bounds_that_make_no_sense_are_refused_by_the_server(cluster: KubernetesCluster, target: Target) -> None:
    with pytest.raises(AdmissionDenied, match="maxReplicas"):
        await cluster.apply(Target(target.tenant_id, target.service, 5, 2))
    assert await cluster.snapshot(target) == NOTHING


async def test_rights_end_at_what_is_needed(mesh: Mesh, kubectl: Callable[..., object]) -> None:
    for verb, what in (("get", "secrets"), ("delete", "namespaces"), ("create", "pods"), ("delete", "apiservices")):
        _, text = await kubectl("auth", "can-i", verb, what, "--as=weir-tenant-admin", "-A")  # type: ignore[misc]
        assert text.strip().endswith("no"), (verb, what, text)


async def test_no_answer_is_an_outage(tmp_path: Path, target: Target, unused_tcp_port: int) -> None:
    with pytest.raises(ControlPlaneUnavailable):
        await KubernetesCluster(tmp_path / "none", MANNER, 1).version()
    nowhere = tmp_path / "nowhere"
    nowhere.write_text(
        f'{{"apiVersion": "v1", "kind": "Config", "clusters": [{{"name": "x", "cluster": {{"server": "https://127.0.0.1:{unused_tcp_port}"}}}}],'
        ' "users": [{"name": "x", "user": {"token": "t"}}], "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],'
        ' "current-context": "x"}'
    )
    with pytest.raises(ControlPlaneUnavailable):
        await KubernetesCluster(nowhere, MANNER, 1).snapshot(target)
