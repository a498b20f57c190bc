"""Who may do what: RBAC of tenant-admin and of a tenant's operators, and the policy that keeps tenant-admin with tenants."""

from __future__ import annotations

import asyncio
import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from weir_local.mesh import Mesh
from weir_tenant_admin.adapters.kubernetes_cluster import KubernetesCluster
from weir_tenant_admin.domain.manifests import Manner, Target, autoscaler, deployment, namespace
from weir_tenant_admin.ports import Snapshot

pytestmark = pytest.mark.kubernetes

MANNER = Manner("registry.weir.example/weir/{service}:1.0.0", 300, 30)
OPERATORS = ("--as=somebody", "--as-group=weir-tenant-operators")


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        *((verb, "namespaces") for verb in ("get", "create", "patch")),
        *((verb, "deployments.apps") for verb in ("get", "create", "patch", "delete")),
        *((verb, "horizontalpodautoscalers.autoscaling") for verb in ("get", "create", "patch", "delete")),
    ],
)
def test_tenant_admin_may_do_what_its_adapter_does(cluster: Any, verb: str, resource: str) -> None:
    assert _may(cluster, f"--as={cluster.tenant_admin}", verb, resource)


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        *((verb, "namespaces") for verb in ("list", "update", "delete")),
        *((verb, "deployments.apps") for verb in ("list", "watch", "update", "deletecollection")),
        *((verb, "deployments.apps/scale") for verb in ("get", "patch", "update")),
        *((verb, "secrets") for verb in ("get", "list", "create")),
        *((verb, "pods") for verb in ("get", "create", "delete")),
        ("create", "pods/exec"),
        ("create", "serviceaccounts/token"),
        ("create", "rolebindings.rbac.authorization.k8s.io"),
        ("patch", "clusterroles.rbac.authorization.k8s.io"),
        ("patch", "tenantplans.weir.example"),
        ("delete", "resourcequotas"),
        ("patch", "validatingadmissionpolicies.admissionregistration.k8s.io"),
        ("impersonate", "users"),
    ],
)
def test_tenant_admin_may_do_nothing_else(cluster: Any, verb: str, resource: str) -> None:
    assert not _may(cluster, f"--as={cluster.tenant_admin}", verb, resource)


@pytest.mark.parametrize("service", ["ingest", "fraud", "anomaly", "analytics", "compliance", "gateway"])
def test_no_other_service_may_do_anything_there(cluster: Any, service: str) -> None:
    who = f"--as=system:serviceaccount:{cluster.platform}:{service}"
    for verb, resource in (("get", "deployments.apps"), ("get", "secrets"), ("create", "pods"), ("get", "namespaces")):
        assert not _may(cluster, who, verb, resource)


@pytest.mark.parametrize(
    ("verb", "resource", "allowed"),
    [
        ("patch", "horizontalpodautoscalers.autoscaling", True),
        ("patch", "deployments.apps/scale", True),
        ("delete", "horizontalpodautoscalers.autoscaling", False),
        ("create", "horizontalpodautoscalers.autoscaling", False),
        ("patch", "deployments.apps", False),
        ("patch", "tenantplans.weir.example", False),
        ("get", "secrets", False),
        ("create", "pods/exec", False),
    ],
)
def test_operators_of_a_tenant_scale_and_no_more(cluster: Any, verb: str, resource: str, allowed: bool) -> None:
    assert _may(cluster, *OPERATORS, verb, resource) is allowed
    assert not _may(cluster, *OPERATORS, verb, resource, where=cluster.platform)


def test_tenant_admin_touches_no_namespace_that_is_not_a_tenants(cluster: Any) -> None:
    words = "tenant-admin writes in tenants' namespaces only"
    target = Target(cluster.tenant_id, "fraud", 1, 2)
    for document in (deployment(target, MANNER), autoscaler(target, MANNER)):
        elsewhere = copy.deepcopy(document)
        elsewhere["metadata"]["namespace"] = cluster.platform
        assert words in cluster.kubectl.refusal(elsewhere, identity=cluster.tenant_admin)
    nobodys = namespace(target)
    nobodys["metadata"]["name"] = f"weir-nobody-{cluster.run}"
    del nobodys["metadata"]["labels"]["weir.example/tenant"]
    assert words in cluster.kubectl.refusal(nobodys, identity=cluster.tenant_admin)
    # The platform's own is not made a tenant's by a label.
    label = ("label", "--dry-run=server", "namespace", cluster.platform, "weir.example/tenant=shop")
    output = cluster.kubectl.refused(*label, f"--as={cluster.tenant_admin}")
    assert "is nobody's" in output
    output = cluster.kubectl.refused(
        "delete", "deployment", "fraud", "-n", cluster.platform, f"--as={cluster.tenant_admin}"
    )
    assert words in output


@pytest.mark.timeout(90)
async def test_the_real_adapter_scales_with_these_rights_under_these_policies(
    cluster: Any, mesh: Mesh, k8s: Path, tmp_path: Path
) -> None:
    adapter = KubernetesCluster(_kubeconfig(cluster, mesh, k8s, tmp_path), MANNER, 5)
    assert (await adapter.version()).startswith("v")
    target = Target(cluster.tenant_id, "fraud", 2, 4)
    assert [one.admission for one in await adapter.preview(target)] == ["allowed"] * 3
    await adapter.apply(target)
    # The controller raises it to the minimum through the scale subresource, which the policy lets pass.
    async with asyncio.timeout(60):
        while (await adapter.snapshot(target)).replicas != 2:
            await asyncio.sleep(0.5)
    wider = Target(cluster.tenant_id, "fraud", 2, 5)
    denied = (await adapter.preview(wider))[2]
    assert denied.admission == "denied"
    assert "the plan allows 4" in denied.reason
    await adapter.restore(target, Snapshot(None, None, None))
    assert await adapter.snapshot(target) == Snapshot(None, None, None)


def _kubeconfig(cluster: Any, mesh: Mesh, k8s: Path, folder: Path) -> Path:
    """The one that is mounted into the pod, but for where this API server and the token of the service account are."""
    document = yaml.safe_load((k8s / "base" / "tenant-admin" / "kubeconfig.yaml").read_text("utf-8"))
    token = folder / "token"
    token.write_text(cluster.kubectl("create", "token", "tenant-admin", "-n", cluster.platform).strip())
    [user], [one] = document["users"], document["clusters"]
    assert user["user"].keys() == {"tokenFile"}
    user["user"]["tokenFile"] = str(token)
    one["cluster"] |= {
        "server": f"https://localhost:{mesh.port('kube-apiserver')}",
        "certificate-authority": str(mesh.secrets_folder() / "ca" / "ca.pem"),
    }
    made = folder / "kubeconfig.yaml"
    made.write_text(yaml.safe_dump(document))
    return made


def _may(cluster: Any, *question: str, where: str | None = None) -> bool:
    *others, resource = question
    # With a slash, kubectl would take what follows for an object's name.
    kind, _, part = resource.partition("/")
    subresource = [f"--subresource={part}"] if part else []
    code, output = cluster.kubectl.run(*("auth", "can-i", *others, kind, *subresource, "-n", where or cluster.tenant))
    answer = output.strip().splitlines()[-1]
    assert answer in ("yes", "no"), output
    assert (code == 0) is (answer == "yes")
    return answer == "yes"
