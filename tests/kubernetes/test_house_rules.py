"""What every workload of ours has, held against the files themselves. The reasons stand in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from weir_common.ids import TenantId
from weir_common.kafka.topics import EVENT_PARTITIONS
from weir_common.service import _DRAIN_SECONDS
from weir_local.environment import SERVICES, package_of
from weir_local.kubernetes.components import NAMESPACE
from weir_tenant_admin.domain.cluster_names import TENANT_LABEL, namespace_of
from weir_tenant_admin.domain.manifests import Manner, Target, deployment
from weir_tenant_admin.domain.tenant import PLANS, Tier

WORKLOADS = (*SERVICES, "gateway")
CONSUMERS = ("fraud", "anomaly", "analytics")
"""Those that read the events topic."""
CLOSING_SECONDS = 10
"""For what closes after the drain: clients, each with its own deadline."""

Base = dict[str, list[dict[str, Any]]]


def of_kind(base: Base, workload: str, kind: str) -> dict[str, Any]:
    """The one of its kind and of the workload's name."""
    [found] = [one for one in base[workload] if one["kind"] == kind and one["metadata"]["name"] == workload]
    return found


def pod_of(base: Base, workload: str) -> dict[str, Any]:
    spec: dict[str, Any] = of_kind(base, workload, "Deployment")["spec"]["template"]["spec"]
    return spec


def test_there_is_a_folder_for_each_workload(base: Base) -> None:
    assert set(base) == set(WORKLOADS)


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_folder_holds_what_a_workload_needs(k8s: Path, base: Base, workload: str) -> None:
    kinds = (
        "Deployment",
        "Service",
        "ServiceAccount",
        "PodDisruptionBudget",
        "HorizontalPodAutoscaler",
        "NetworkPolicy",
    )
    for kind in kinds:
        of_kind(base, workload, kind)
    for path in (k8s / "base" / workload).glob("*.yaml"):
        listed = yaml.safe_load((path.parent / "kustomization.yaml").read_text("utf-8"))
        named = [
            *listed["resources"],
            *(patch["path"] for patch in listed.get("patches", [])),
            *(name for one in listed["configMapGenerator"] for name in (*one.get("files", []), *one.get("envs", []))),
        ]
        assert path.name in (*named, "kustomization.yaml"), f"{path} is in no kustomization"


@pytest.mark.parametrize("workload", WORKLOADS)
def test_labels(base: Base, workload: str) -> None:
    for document in base[workload]:
        labels = document["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == workload
        assert labels["app.kubernetes.io/part-of"] == "weir"
        assert "app.kubernetes.io/component" in labels
    deployment = of_kind(base, workload, "Deployment")
    assert deployment["spec"]["template"]["metadata"]["labels"] == deployment["metadata"]["labels"]
    selector = {"app.kubernetes.io/name": workload}
    assert deployment["spec"]["selector"]["matchLabels"] == selector
    assert of_kind(base, workload, "Service")["spec"]["selector"] == selector
    assert of_kind(base, workload, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == selector
    assert of_kind(base, workload, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == selector


@pytest.mark.parametrize("workload", WORKLOADS)
def test_probes_are_three_and_apart(base: Base, workload: str) -> None:
    [container] = pod_of(base, workload)["containers"]
    startup, ready, alive = (container[f"{name}Probe"] for name in ("startup", "readiness", "liveness"))
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 60
    ports = {port["name"] for port in container["ports"]}
    if workload == "gateway":
        assert ready["httpGet"] == {"path": "/ready", "port": "admin"}
        assert alive["tcpSocket"]["port"] in ports
    else:
        assert ready["httpGet"] == {"path": "/readyz", "port": "http"}
        # /livez asks no dependency; an outage of a store must not restart anything.
        assert startup["httpGet"] == alive["httpGet"] == {"path": "/livez", "port": "http"}
    assert all(probe["timeoutSeconds"] <= max(2, probe["periodSeconds"]) for probe in (startup, ready, alive))


@pytest.mark.parametrize("workload", WORKLOADS)
def test_there_is_time_to_end(base: Base, workload: str) -> None:
    pod = pod_of(base, workload)
    [container] = pod["containers"]
    sleep = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    # Half for gRPC, the whole for the parts, two seconds for those that are cancelled: weir_common/service.py.
    drain = 0 if workload == "gateway" else 1.5 * _DRAIN_SECONDS + 2 + CLOSING_SECONDS
    assert sleep >= 10
    assert pod["terminationGracePeriodSeconds"] > sleep + drain


@pytest.mark.parametrize("workload", WORKLOADS)
def test_resources(base: Base, workload: str) -> None:
    [container] = pod_of(base, workload)["containers"]
    resources = container["resources"]
    assert resources["requests"]["memory"] == resources["limits"]["memory"]
    assert "cpu" in resources["requests"]
    assert "cpu" not in resources["limits"]


@pytest.mark.parametrize("workload", WORKLOADS)
def test_security(base: Base, workload: str) -> None:
    pod = pod_of(base, workload)
    [container] = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 1_000
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    [tmp] = [volume for volume in pod["volumes"] if volume["name"] == "tmp"]
    assert "sizeLimit" in tmp["emptyDir"]
    assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]
    # Or Kubernetes would set variables such as WEIR_…_PORT, which settings would read.
    assert pod["enableServiceLinks"] is False
    assert pod["serviceAccountName"] == workload
    assert pod["automountServiceAccountToken"] is (workload == "tenant-admin")
    assert of_kind(base, workload, "ServiceAccount")["automountServiceAccountToken"] is False


@pytest.mark.parametrize("workload", WORKLOADS)
def test_what_runs(base: Base, workload: str) -> None:
    [container] = pod_of(base, workload)["containers"]
    assert container["name"] == workload
    assert container["image"] == f"weir/{workload}:dev"
    if workload != "gateway":
        assert container["command"] == ["python", "-m", package_of(workload)]
        assert container["envFrom"] == [{"configMapRef": {"name": f"{workload}-environment"}}]


@pytest.mark.parametrize("workload", WORKLOADS)
def test_pods_are_spread(base: Base, workload: str) -> None:
    constraints = pod_of(base, workload)["topologySpreadConstraints"]
    assert [one["topologyKey"] for one in constraints] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    for one in constraints:
        assert one["matchLabelKeys"] == ["pod-template-hash"]
        assert one["labelSelector"]["matchLabels"] == {"app.kubernetes.io/name": workload}


@pytest.mark.parametrize("workload", WORKLOADS)
def test_rollout_and_disruption(base: Base, workload: str) -> None:
    spec = of_kind(base, workload, "Deployment")["spec"]
    assert "replicas" not in spec, "the autoscaler owns them"
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert "progressDeadlineSeconds" in spec
    budget = of_kind(base, workload, "PodDisruptionBudget")["spec"]
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    # Never minAvailable: one equal to the replicas would stop every drain.
    assert budget["maxUnavailable"] == 1
    assert "minAvailable" not in budget


@pytest.mark.parametrize("workload", WORKLOADS)
def test_scaling(base: Base, workload: str) -> None:
    spec = of_kind(base, workload, "HorizontalPodAutoscaler")["spec"]
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": workload}
    assert 2 <= spec["minReplicas"] < spec["maxReplicas"]
    assert workload not in CONSUMERS or spec["maxReplicas"] <= EVENT_PARTITIONS
    for direction in ("scaleUp", "scaleDown"):
        assert spec["behavior"][direction]["policies"]
        assert "stabilizationWindowSeconds" in spec["behavior"][direction]
    for metric in spec["metrics"]:
        # Value multiplies for ever on a level.
        assert metric["resource"]["target"]["type"] == "Utilization"


def test_a_tenants_own_deployment_keeps_the_same_rules() -> None:
    made = deployment(Target(TenantId("shop"), "fraud", 1, 4), Manner("registry/{service}:1", 300, 30))
    assert "replicas" not in made["spec"]
    pod = made["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["resources"]["requests"]["memory"] == container["resources"]["limits"]["memory"]
    assert container["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["automountServiceAccountToken"] is pod["enableServiceLinks"] is False


def test_the_readme_names_every_secret_and_map_that_somebody_else_makes(k8s: Path, base: Base) -> None:
    readme = (k8s / "README.md").read_text("utf-8")
    generated = {f"{workload}-environment" for workload in WORKLOADS} | {"gateway-config", "tenant-admin-kubeconfig"}
    expected: set[tuple[str, str]] = set()
    for workload in WORKLOADS:
        for volume in pod_of(base, workload)["volumes"]:
            for source, name in (("secret", "secretName"), ("configMap", "name")):
                if source in volume and volume[source][name] not in generated:
                    expected |= {(volume[source][name], item["key"]) for item in volume[source]["items"]}
    assert len(expected) >= 9
    for name, key in expected:
        assert re.search(rf"^\| `{re.escape(name)}` \|.*`{re.escape(key)}`", readme, re.MULTILINE), (name, key)
    for service in SERVICES:
        assert f"`{service}-environment-secret`" in readme


def test_the_overlay_names_an_image_for_each_workload(k8s: Path) -> None:
    overlay = yaml.safe_load((k8s / "overlays" / "dev" / "kustomization.yaml").read_text("utf-8"))
    assert {one["name"] for one in overlay["images"]} == {f"weir/{workload}" for workload in WORKLOADS}


def test_names_are_those_of_the_code(k8s: Path) -> None:
    assert yaml.safe_load((k8s / "base" / "namespace.yaml").read_text("utf-8"))["metadata"]["name"] == NAMESPACE
    folder = k8s / "overlays" / "dev" / "tenants" / "example-shop"
    tenant = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))
    plan = yaml.safe_load((folder / "plan.yaml").read_text("utf-8"))["spec"]
    [labels] = [one["pairs"] for one in tenant["labels"]]
    assert labels == {TENANT_LABEL: plan["tenantId"]}
    assert tenant["namespace"] == namespace_of(plan["tenantId"])
    assert plan["maxReplicas"] <= PLANS[Tier(plan["tier"])].max_replicas
    definition = yaml.safe_load((k8s / "policies" / "tenantplan.yaml").read_text("utf-8"))
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    assert schema["tier"]["enum"] == [str(tier) for tier in Tier]


def test_every_policy_fails_closed_and_is_bound(k8s: Path) -> None:
    listed = yaml.safe_load((k8s / "policies" / "kustomization.yaml").read_text("utf-8"))["resources"]
    assert sorted([*listed, "kustomization.yaml"]) == sorted(path.name for path in (k8s / "policies").glob("*.yaml"))
    for name in listed:
        documents = list(yaml.safe_load_all((k8s / "policies" / name).read_text("utf-8")))
        if documents[0]["kind"] == "CustomResourceDefinition":
            continue
        policy, binding = documents
        assert policy["spec"]["failurePolicy"] == "Fail"
        assert binding["spec"]["policyName"] == policy["metadata"]["name"]
        assert binding["spec"]["validationActions"] == ["Deny"]
        if "paramKind" in policy["spec"]:
            assert binding["spec"]["paramRef"]["parameterNotFoundAction"] == "Deny"
            # In the policy, not in the binding: before the API server knows the kind, it refuses whatever the policy matches.
            assert "namespaceSelector" in policy["spec"]["matchConstraints"]
