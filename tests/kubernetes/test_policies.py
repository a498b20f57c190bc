"""Each policy on the real API server: what it lets pass, and what it refuses with which words."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.kubernetes

Document = dict[str, Any]
OURS = "registry.weir.example/weir/fraud"
DIGEST = "sha256:" + "0" * 64


# ── the plan ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"maxReplicas": 7}, "above the partition count"),
        ({"maxReplicas": 0}, "greater than or equal to 1"),
        ({"tier": "gold"}, "Unsupported value"),
        ({"tier": "trial"}, "a trial has one replica"),
        ({"partitions": 5}, "Kafka cannot take partitions away"),
        ({"tenantId": "another"}, "a plan stays its tenant's"),
        ({"tenantId": "Upper"}, "should match"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(cluster: Any, change: Document, words: str) -> None:
    assert words in cluster.kubectl.refusal(changed(plan_of(cluster), spec=change))


def test_a_namespace_has_one_plan(cluster: Any) -> None:
    second = plan_of(cluster)
    second["metadata"]["name"] = "another"
    assert "a namespace has one plan" in cluster.kubectl.refusal(second)


def test_a_plan_may_grow(cluster: Any) -> None:
    cluster.kubectl.apply(changed(plan_of(cluster), spec={"partitions": 12, "maxReplicas": 12}), dry_run=True)


def test_a_plan_of_another_tenant_is_refused(cluster: Any, bare_namespace: str) -> None:
    stray = plan_of(cluster)
    stray["metadata"]["namespace"] = bare_namespace
    stray["metadata"]["labels"]["weir.example/tenant"] = "unplanned"
    assert "this namespace is that of unplanned" in cluster.kubectl.refusal(stray)


# ── bounds ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("maximum", "words"), [(5, "maxReplicas 5: the plan allows 4"), (7, "maxReplicas 7 is above the partition count 6")]
)
def test_an_autoscaler_past_the_plan_is_refused(
    cluster: Any, an_autoscaler: Document, maximum: int, words: str
) -> None:
    cluster.kubectl.apply(an_autoscaler, dry_run=True)
    assert words in cluster.kubectl.refusal(changed(an_autoscaler, spec={"maxReplicas": maximum}))


def test_the_older_version_of_the_interface_is_no_way_round(cluster: Any, an_autoscaler: Document) -> None:
    older = {**changed(an_autoscaler, spec={"maxReplicas": 5}), "apiVersion": "autoscaling/v1"}
    assert "the plan allows 4" in cluster.kubectl.refusal(older)


@pytest.mark.parametrize("replicas", [None, 0, 4])
def test_replicas_within_the_plan_or_absent_are_admitted(
    cluster: Any, a_workload: Document, replicas: int | None
) -> None:
    cluster.kubectl.apply(
        a_workload if replicas is None else changed(a_workload, spec={"replicas": replicas}), dry_run=True
    )


@pytest.mark.parametrize(
    ("replicas", "words"), [(5, "5 replicas: the plan allows 4"), (7, "7 replicas are above the partition count 6")]
)
def test_replicas_past_the_plan_are_refused(cluster: Any, a_workload: Document, replicas: int, words: str) -> None:
    assert words in cluster.kubectl.refusal(changed(a_workload, spec={"replicas": replicas}))


def test_the_scale_subresource_is_held_to_the_plan_too_also_from_and_to_zero(
    cluster: Any, running: Callable[[int], str]
) -> None:
    name = running(1)
    scale = ("scale", f"deployment/{name}", "-n", cluster.tenant)
    assert "30 replicas are above the partition count 6" in cluster.kubectl.refused(*scale, "--replicas=30")
    # At zero the field is absent from the object; a policy that reads it plainly fails here, and stops the controller.
    for replicas in (4, 0, 0, 2):
        cluster.kubectl(*scale, f"--replicas={replicas}")
    cluster.kubectl(*scale, "--replicas=0")
    assert "5 replicas: the plan allows 4" in cluster.kubectl.refused(*scale, "--replicas=5")


def test_after_a_smaller_plan_what_runs_may_shrink_step_by_step_and_not_grow(
    cluster: Any, running: Callable[[int], str], an_autoscaler: Document
) -> None:
    name = running(4)
    cluster.kubectl.apply(an_autoscaler)
    cluster.kubectl.apply(changed(plan_of(cluster), spec={"maxReplicas": 1}))
    try:
        scale = ("scale", f"deployment/{name}", "-n", cluster.tenant)
        assert "the plan allows 1" in cluster.kubectl.refused(*scale, "--replicas=5")
        cluster.kubectl(*scale, "--replicas=3")
        assert "the plan allows 1" in cluster.kubectl.refused(*scale, "--replicas=4")
        # Another change of an autoscaler that is past the new plan passes; raising it further does not.
        cluster.kubectl.apply(changed(an_autoscaler, spec={"minReplicas": 2}), dry_run=True)
        assert "the plan allows 1" in cluster.kubectl.refusal(changed(an_autoscaler, spec={"maxReplicas": 5}))
    finally:
        cluster.kubectl.apply(plan_of(cluster))
        cluster.kubectl("delete", "hpa", "tried", "-n", cluster.tenant)


def test_without_a_plan_nothing_is_scaled(
    cluster: Any, bare_namespace: str, an_autoscaler: Document, a_workload: Document
) -> None:
    for document in (an_autoscaler, a_workload):
        stray = in_namespace(document, bare_namespace, "unplanned")
        assert "no params found" in cluster.kubectl.refusal(stray)


def test_other_namespaces_are_not_touched(cluster: Any, an_autoscaler: Document) -> None:
    elsewhere = changed(an_autoscaler, metadata={"namespace": cluster.platform}, spec={"maxReplicas": 30})
    cluster.kubectl.apply(elsewhere, dry_run=True)


# ── images ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "image", [f"{OURS}:1.4.2", f"{OURS}@{DIGEST}", f"{OURS}:1.4.2@{DIGEST}", f"elsewhere.example:5000/envoy@{DIGEST}"]
)
def test_an_image_that_is_known_is_admitted(cluster: Any, a_pod: Document, image: str) -> None:
    cluster.kubectl.apply(with_container(a_pod, image=image), dry_run=True)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (f"{OURS}:latest", "can be another image tomorrow"),
        (OURS, "can be another image tomorrow"),
        ("weir/fraud:1.4.2", "neither named by its digest nor from"),
        ("registry.weir.example.evil.example/fraud:1", "neither named by its digest nor from"),
        ("elsewhere.example:5000/envoy", "neither named by its digest nor from"),
        (f"{OURS}@sha256:abc", "can be another image tomorrow"),
    ],
)
def test_an_image_that_nobody_knows_is_refused(
    cluster: Any, a_pod: Document, a_workload: Document, image: str, words: str
) -> None:
    assert words in cluster.kubectl.refusal(with_container(a_pod, image=image))
    assert words in cluster.kubectl.refusal(with_container(a_workload, image=image))


def test_an_init_container_is_looked_at_too(cluster: Any, a_pod: Document) -> None:
    stray = copy.deepcopy(a_pod)
    stray["spec"]["initContainers"] = [{**stray["spec"]["containers"][0], "name": "first", "image": f"{OURS}:latest"}]
    assert "can be another image tomorrow" in cluster.kubectl.refusal(stray)


def test_the_platforms_own_namespace_is_held_to_it_too(cluster: Any, a_pod: Document) -> None:
    stray = changed(with_container(a_pod, image=f"{OURS}:latest"), metadata={"namespace": cluster.platform})
    assert "can be another image tomorrow" in cluster.kubectl.refusal(stray)


def test_a_container_for_debugging_is_held_to_it_too(cluster: Any) -> None:
    pod = cluster.kubectl("get", "pods", "-n", cluster.platform, "-o", "name").splitlines()[0]
    debug = ("debug", pod, "-n", cluster.platform, "--attach=false", "--profile=restricted", "--container=look")
    output = cluster.kubectl.refused(*debug, "--image=busybox:1.36")
    assert "neither named by its digest nor from" in output
    cluster.kubectl(*debug, f"--image={OURS}:1.4.2")


# ── privileges ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("security", "words"),
    [
        # The mesh's API server runs without --allow-privileged and says so itself, before any policy is asked.
        ({"privileged": True}, "disallowed by cluster policy"),
        ({"allowPrivilegeEscalation": True}, "does not set allowPrivilegeEscalation to false"),
        ({}, "does not set allowPrivilegeEscalation to false"),
    ],
)
def test_a_privileged_workload_is_refused(cluster: Any, a_workload: Document, security: Document, words: str) -> None:
    # The Deployment: the namespace's label only refuses its pods, where nobody looks.
    assert words in cluster.kubectl.refusal(with_container(a_workload, securityContext=security))


@pytest.mark.parametrize(
    ("pod", "words"),
    [
        ({"hostNetwork": True}, "shares a namespace of its node"),
        ({"hostPID": True}, "shares a namespace of its node"),
        ({"volumes": [{"name": "node", "hostPath": {"path": "/"}}]}, "mounts a folder of its node"),
    ],
)
def test_a_workload_that_reaches_for_its_node_is_refused(
    cluster: Any, a_workload: Document, pod: Document, words: str
) -> None:
    stray = copy.deepcopy(a_workload)
    stray["spec"]["template"]["spec"] |= pod
    assert words in cluster.kubectl.refusal(stray)


@pytest.mark.parametrize("where", ["platform", "tenant"])
def test_a_pod_that_is_not_restricted_is_refused_by_pod_security(cluster: Any, a_pod: Document, where: str) -> None:
    # Every policy of ours lets it pass: this is the namespace's label at work.
    stray = changed(a_pod, metadata={"namespace": getattr(cluster, where)})
    stray["spec"]["securityContext"] = {}
    output = cluster.kubectl.refusal(stray)
    assert 'violates PodSecurity "restricted' in output
    assert "runAsNonRoot" in output


# ── labels and namespaces ───────────────────────────────────────────────────────────────────────────────────────────


def test_what_runs_in_a_tenants_namespace_says_whose_it_is(
    cluster: Any, a_pod: Document, a_workload: Document, an_autoscaler: Document
) -> None:
    for document in (a_pod, a_workload, an_autoscaler):
        cluster.kubectl.apply(document, dry_run=True)
        for labels in ({}, {"weir.example/tenant": "another"}):
            stray = copy.deepcopy(document)
            stray["metadata"]["labels"] = labels
            assert f"weir.example/tenant must be {cluster.tenant_id}" in cluster.kubectl.refusal(stray)
    stray = copy.deepcopy(a_workload)
    del stray["spec"]["template"]["metadata"]["labels"]["weir.example/tenant"]
    assert "of the pods must be" in cluster.kubectl.refusal(stray)


@pytest.mark.parametrize(
    ("name", "labels", "words"),
    [
        ("shop", {}, "starts with weir-"),
        ("weir-shop", {"pod-security.kubernetes.io/enforce": "baseline"}, "enforce=restricted"),
        ("weir-shop", {"pod-security.kubernetes.io/enforce": None}, "enforce=restricted"),
        ("weir-shop", {"app.kubernetes.io/part-of": None}, "part-of=weir"),
    ],
)
def test_a_tenants_namespace_that_the_policies_would_not_find_is_refused(
    cluster: Any, name: str, labels: dict[str, str | None], words: str
) -> None:
    cluster.kubectl.apply(namespace("weir-shop", {}), dry_run=True)
    assert words in cluster.kubectl.refusal(namespace(name, labels))


def test_a_tenants_namespace_cannot_be_taken_out_of_the_policies(cluster: Any) -> None:
    for change in ("weir.example/tenant-", "weir.example/tenant=another"):
        output = cluster.kubectl.refused(
            "label", "--overwrite", "--dry-run=server", "namespace", cluster.tenant, change
        )
        assert "from its making to its end" in output
    loosened = "pod-security.kubernetes.io/enforce=privileged"
    output = cluster.kubectl.refused("label", "--overwrite", "--dry-run=server", "namespace", cluster.tenant, loosened)
    assert "enforce=restricted" in output


def test_the_quota_of_a_tenants_namespace_holds(cluster: Any, a_pod: Document) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "tried", "namespace": cluster.tenant},
        "spec": {"type": "LoadBalancer", "selector": {"a": "b"}, "ports": [{"port": 80}]},
    }
    assert "exceeded quota" in cluster.kubectl.refusal(service)
    large = with_container(a_pod, resources={"requests": {"memory": "3Gi"}, "limits": {"memory": "3Gi"}})
    assert "maximum memory usage per Container is 2Gi" in cluster.kubectl.refusal(large)


# ── parts ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def running(cluster: Any, a_workload: Document) -> Iterator[Callable[[int], str]]:
    """A Deployment that is really there."""

    def make(replicas: int) -> str:
        cluster.kubectl.apply(a_workload)
        name: str = a_workload["metadata"]["name"]
        cluster.kubectl("scale", f"deployment/{name}", "-n", cluster.tenant, f"--replicas={replicas}")
        return name

    yield make
    cluster.kubectl("delete", "deployment", a_workload["metadata"]["name"], "-n", cluster.tenant)


@pytest.fixture(scope="module")
def bare_namespace(cluster: Any) -> str:
    """A tenant's namespace that has no plan yet. It goes with the others of the run."""
    name = f"weir-unplanned-{cluster.run}"
    cluster.kubectl.apply(namespace(name, {"weir.example/test-run": cluster.run, "weir.example/tenant": "unplanned"}))
    return name


def namespace(name: str, labels: dict[str, str | None]) -> Document:
    """As tenant-admin makes them, but for these labels."""
    right: dict[str, str | None] = {
        "weir.example/tenant": "shop",
        "pod-security.kubernetes.io/enforce": "restricted",
        "app.kubernetes.io/part-of": "weir",
    }
    wanted = {key: value for key, value in (right | labels).items() if value is not None}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": wanted}}


def plan_of(cluster: Any) -> Document:
    """The tenant's, as it was applied."""
    [plan] = [document for document in cluster.documents if document["kind"] == "TenantPlan"]
    return copy.deepcopy(plan)


def changed(document: Document, **sections: Document) -> Document:
    """A copy with other members of these sections."""
    made = copy.deepcopy(document)
    for section, members in sections.items():
        made[section] |= members
    return made


def with_container(document: Document, **members: Any) -> Document:
    """A copy whose only container differs in these."""
    made = copy.deepcopy(document)
    pod = made["spec"]["template"]["spec"] if "template" in made["spec"] else made["spec"]
    pod["containers"][0] |= members
    return made


def in_namespace(document: Document, name: str, tenant: str) -> Document:
    """A copy that belongs there."""
    made = copy.deepcopy(document)
    made["metadata"] |= {"namespace": name}
    made["metadata"]["labels"]["weir.example/tenant"] = tenant
    if "template" in made["spec"]:
        made["spec"]["template"]["metadata"]["labels"]["weir.example/tenant"] = tenant
    return made
