"""The manifests: as files for the unit tests, and applied to the real control plane of the running mesh for the others.

What is applied is what ``kubectl kustomize k8s/overlays/dev`` renders, in namespaces of the run's own. The policies get one more
label in their selectors, so that they bind nothing but these namespaces: other tests scale tenants on the same cluster.
"""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from weir_common.ids import TenantId
from weir_local.kubernetes.build import program
from weir_local.mesh import Mesh, default_cache_directory, default_state_directory
from weir_tenant_admin.domain.cluster_names import namespace_of

ROOT = Path(__file__).parents[2]
EXAMPLE = TenantId("example-shop")
RUN_LABEL = "weir.example/test-run"
POLICY_SECONDS = 60
"""At most until the API server has learnt of a new kind (TenantPlan): seconds; until then its policies refuse."""
WITHOUT_NAMESPACE = ("APIService",)
"""Only tried: the mesh has its own, which the autoscaling controller asks."""

Document = dict[str, Any]


@dataclass(frozen=True)
class Kubectl:
    """The administrator's, or that of whom ``identity`` names."""

    binary: Path
    kubeconfig: Path

    def run(self, *arguments: str, stdin: str | None = None, seconds: float = 60) -> tuple[int, str]:
        """Exit code and everything it said."""
        done = subprocess.run(
            [str(self.binary), f"--kubeconfig={self.kubeconfig}", *arguments],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
        return done.returncode, done.stdout

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """It must succeed."""
        code, output = self.run(*arguments, stdin=stdin)
        assert code == 0, output
        return output

    def apply(self, *documents: Document, dry_run: bool = False, identity: str | None = None) -> str:
        """Strict server-side apply."""
        return self(*_apply(dry_run, identity), stdin=yaml.safe_dump_all(documents))

    def refusal(self, *documents: Document, identity: str | None = None) -> str:
        """Why the API server does not want them; asked again for a while, since policies take effect a little later."""
        return self.refused(*_apply(True, identity), stdin=yaml.safe_dump_all(documents))

    def refused(self, *arguments: str, stdin: str | None = None) -> str:
        """What is said when it fails, as it must."""
        deadline = time.monotonic() + 10
        while True:
            code, output = self.run(*arguments, stdin=stdin)
            if code != 0:
                return output
            assert time.monotonic() < deadline, f"this was not refused: {output}"
            time.sleep(0.3)


def _apply(dry_run: bool, identity: str | None) -> list[str]:
    return [
        *("apply", "--server-side", "--validate=strict", "--field-manager=weir-manifests-test", "-f", "-"),
        *(["--dry-run=server"] if dry_run else []),
        *([f"--as={identity}"] if identity else []),
    ]


@dataclass(frozen=True)
class Cluster:
    """Everything of the overlay, applied."""

    kubectl: Kubectl
    documents: list[Document]
    platform: str
    """The namespace that stands for weir-system."""
    tenant_id: TenantId
    tenant: str
    """The tenant's namespace; its plan allows four replicas, its topic has six partitions."""
    run: str

    @property
    def tenant_admin(self) -> str:
        """Its user name."""
        return f"system:serviceaccount:{self.platform}:tenant-admin"


# ── files ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def k8s() -> Path:
    """The folder."""
    return ROOT / "k8s"


@pytest.fixture(scope="session")
def base(k8s: Path) -> dict[str, list[Document]]:
    """The documents in the folder of each service and of the gateway."""
    return {
        folder.name: [
            document
            for path in sorted(folder.glob("*.yaml"))
            if path.name not in ("kustomization.yaml", "envoy.yaml", "secret-environment.yaml", "kubeconfig.yaml")
            for document in yaml.safe_load_all(path.read_text("utf-8"))
        ]
        for folder in sorted((k8s / "base").iterdir())
        if folder.is_dir()
    }


# ── the control plane ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def mesh() -> Mesh:
    """The running mesh (WEIR_STATE_DIR)."""
    return Mesh.at(default_state_directory(os.environ, Path(__file__).parent), default_cache_directory(os.environ))


@pytest.fixture(scope="session")
def kubectl(mesh: Mesh) -> Kubectl:
    return Kubectl(program(mesh.cache, "kubectl"), mesh.state / "kubernetes" / "admin.kubeconfig")


@pytest.fixture(scope="session")
def cluster(kubectl: Kubectl) -> Iterator[Cluster]:
    """The overlay, really applied under names of this run, and taken away again."""
    run = secrets.token_hex(4)
    tenant_id = TenantId(f"manifests-{run}")
    platform, tenant = f"weir-manifests-{run}", namespace_of(tenant_id)
    text = kubectl("kustomize", str(ROOT / "k8s" / "overlays" / "dev"))
    for name, stands_for in (
        ("weir-system", platform),
        (namespace_of(EXAMPLE), tenant),
        (EXAMPLE, tenant_id),
    ):
        text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", stands_for, text)
    documents = list(yaml.safe_load_all(text))
    for document in documents:
        _bind_to_run(document, run)
    lasting = [one for one in documents if one["kind"] not in WITHOUT_NAMESPACE]
    policies = [one for one in lasting if "Policy" in one["kind"] and one["kind"].startswith("Validating")]
    definitions = [one for one in lasting if one["kind"] == "CustomResourceDefinition"]
    everything = Cluster(kubectl, documents, platform, tenant_id, tenant, run)
    try:
        kubectl.apply(*definitions)
        kubectl("wait", "--for=condition=Established", "crd/tenantplans.weir.example", "--timeout=30s")
        kubectl.apply(*policies)
        kubectl.apply(*(one for one in lasting if one not in policies and one not in definitions))
        _wait_for_policies(everything)
        yield everything
    finally:
        _remove(kubectl, [*policies, *definitions, *(one for one in lasting if one["kind"].startswith("ClusterRole"))])
        for claim in ("lake", "exports", "models"):
            # No controller here takes a claim's protection away.
            kubectl.run("patch", "pvc", claim, "-n", platform, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
        kubectl.run("delete", "namespace", "-l", f"{RUN_LABEL}={run}", "--wait=false")


def _bind_to_run(document: Document, run: str) -> None:
    if document["kind"] == "Namespace":
        document["metadata"].setdefault("labels", {})[RUN_LABEL] = run
    if document["kind"] == "ValidatingAdmissionPolicy":
        selector = document["spec"]["matchConstraints"].get("namespaceSelector")
        if selector is not None:
            selector.setdefault("matchLabels", {})[RUN_LABEL] = run


def _wait_for_policies(cluster: Cluster) -> None:
    """Both that need a plan must have found its kind: then they let four replicas pass, and not five."""
    deadline = time.monotonic() + POLICY_SECONDS
    while True:
        verdicts = [
            cluster.kubectl.run(*_apply(True, None), stdin=yaml.safe_dump(one))
            for one in (autoscaler(cluster, 4), autoscaler(cluster, 5), workload(cluster, 4), workload(cluster, 5))
        ]
        if [code for code, _ in verdicts] == [0, 1, 0, 1] and all("the plan allows" in verdicts[n][1] for n in (1, 3)):
            return
        assert time.monotonic() < deadline, verdicts
        time.sleep(0.5)


def _remove(kubectl: Kubectl, documents: list[Document]) -> None:
    kubectl.run("delete", "--ignore-not-found", "--wait=true", "-f", "-", stdin=yaml.safe_dump_all(documents))


# ── objects to try ──────────────────────────────────────────────────────────────────────────────────────────────────


def autoscaler(cluster: Cluster, maximum: int) -> Document:
    """An autoscaler of the tenant's."""
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {
            "name": "tried",
            "namespace": cluster.tenant,
            "labels": {"weir.example/tenant": str(cluster.tenant_id)},
        },
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "tried"},
            "maxReplicas": maximum,
        },
    }


def workload(cluster: Cluster, replicas: int | None) -> Document:
    """A Deployment of the tenant's that every policy likes."""
    labels = {"app.kubernetes.io/name": "tried", "weir.example/tenant": str(cluster.tenant_id)}
    container = {
        "name": "consumer",
        "image": "registry.weir.example/weir/fraud:1.0.0",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "tried", "namespace": cluster.tenant, "labels": labels},
        "spec": {
            **({} if replicas is None else {"replicas": replicas}),
            "selector": {"matchLabels": {"app.kubernetes.io/name": "tried"}},
            "template": {
                "metadata": {"labels": dict(labels)},
                "spec": {
                    "automountServiceAccountToken": False,
                    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                    "containers": [container],
                },
            },
        },
    }


@pytest.fixture
def a_workload(cluster: Cluster) -> Document:
    return workload(cluster, None)


@pytest.fixture
def a_pod(cluster: Cluster) -> Document:
    """A pod of the tenant's that every policy likes."""
    template = workload(cluster, None)["spec"]["template"]
    metadata = {**template["metadata"], "name": "tried", "namespace": cluster.tenant}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


@pytest.fixture
def an_autoscaler(cluster: Cluster) -> Document:
    return autoscaler(cluster, 4)
