"""Everything that the overlay renders, applied to the real API server with strict validation of every field."""

from __future__ import annotations

import copy
import json
import time
from typing import Any

import pytest

pytestmark = pytest.mark.kubernetes


def test_every_manifest_is_there_as_it_was_written(cluster: Any) -> None:
    lasting = [document for document in cluster.documents if document["kind"] != "APIService"]
    # A second apply of the same changes nothing; whatever was not applied would show up now.
    before = _generations(cluster)
    assert len(cluster.kubectl.apply(*lasting).splitlines()) == len(lasting) >= 80
    assert _generations(cluster) == before


def _generations(cluster: Any) -> dict[str, int]:
    found = json.loads(
        cluster.kubectl("get", "deployments,hpa,pdb,networkpolicies", "-n", cluster.platform, "-o", "json")
    )
    return {f"{one['kind']}/{one['metadata']['name']}": one["metadata"].get("generation", 0) for one in found["items"]}


def test_the_metrics_api_would_be_accepted(cluster: Any) -> None:
    [service] = [document for document in cluster.documents if document["kind"] == "APIService"]
    # Not applied: the mesh has its own. Forced, or it would say no more than that.
    code, output = cluster.kubectl.run(
        *("apply", "--server-side", "--validate=strict", "--dry-run=server", "--force-conflicts", "-f", "-"),
        stdin=json.dumps(service),
    )
    assert code == 0, output


@pytest.mark.timeout(90)
def test_the_pods_of_every_deployment_are_restricted_enough_to_be_made(cluster: Any) -> None:
    wanted = {document["metadata"]["name"] for document in cluster.documents if document["kind"] == "Deployment"}
    assert len(wanted) == 7
    deadline = time.monotonic() + 60
    while True:
        found = json.loads(cluster.kubectl("get", "pods", "-n", cluster.platform, "-o", "json"))["items"]
        made = {pod["metadata"]["labels"]["app.kubernetes.io/name"] for pod in found}
        if made == wanted:
            return
        assert time.monotonic() < deadline, f"no pods of {wanted - made}"
        time.sleep(0.5)


@pytest.mark.parametrize(
    ("kind", "path", "right", "wrong"),
    [
        ("Deployment", ("spec", "template", "spec", "containers", 0), "resources", "resorces"),
        ("Deployment", ("spec", "template", "spec", "containers", 0, "securityContext"), "readOnlyRootFilesystem", "readonlyRootFilesystem"),
        ("HorizontalPodAutoscaler", ("spec",), "behavior", "behaviour"),
        ("PodDisruptionBudget", ("spec",), "unhealthyPodEvictionPolicy", "unhealthyPodEviction"),
        ("NetworkPolicy", ("spec",), "policyTypes", "policyType"),
        ("TenantPlan", ("spec",), "maxReplicas", "maxreplicas"),
        ("ResourceQuota", ("spec",), "hard", "hardly"),
    ],
)  # fmt: skip
def test_a_misspelt_field_is_refused(
    cluster: Any, kind: str, path: tuple[str | int, ...], right: str, wrong: str
) -> None:
    document = copy.deepcopy(next(one for one in cluster.documents if one["kind"] == kind))
    place: Any = document
    for step in path:
        place = place[step]
    place[wrong] = place.pop(right)
    assert wrong in cluster.kubectl.refusal(document)
