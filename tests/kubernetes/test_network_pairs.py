"""The NetworkPolicies allow what really talks, from both ends, and nothing else.

Who talks is derived: a store's section in a service's settings, the sections that name peers, the gateway's routes.
"""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml
from weir_ingest.domain.fate import STAGES
from weir_local.environment import SERVICES

Edge = tuple[str, str, int]
STORE_PORTS = {"postgres": 5432, "kafka": 9092, "valkey": 6379, "temporal": 7233}
NAME = "app.kubernetes.io/name"


ASKED = {"ingest": {consumer.partition(".")[0] for _, consumer in STAGES}}
"""Peers of those that do not ask all: ingest asks whoever does something with its events how far they are."""


@pytest.fixture(scope="module")
def settings(k8s: Path) -> dict[str, Any]:
    found: dict[str, Any] = runpy.run_path(str(k8s / "generate.py"))["SETTINGS"]
    return found


@pytest.fixture(scope="module")
def policies(base: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    return {
        workload: next(one["spec"] for one in documents if one["kind"] == "NetworkPolicy")
        for workload, documents in base.items()
    }


def talking(settings: dict[str, Any]) -> set[Edge]:
    """From, to, port: inside the platform's namespace."""
    pairs = {("gateway", service, port) for service in SERVICES for port in (8080, 9090)}
    for service in SERVICES:
        fields = settings[service].model_fields
        others = [other for other in SERVICES if other != service]
        if "peers" in fields:
            pairs |= {(service, other, 9090) for other in ASKED.get(service, others)}
        if "probes" in fields:
            pairs |= {(service, other, 8080) for other in others} | {(service, "gateway", 9901)}
    return pairs


def test_pairs_are_allowed_from_both_ends_and_no_others(
    settings: dict[str, Any], policies: dict[str, dict[str, Any]]
) -> None:
    coming = {
        (_pod(source), workload, port["port"])
        for workload, policy in policies.items()
        for rule in policy["ingress"]
        for source in rule.get("from", [])
        for port in rule["ports"]
    }
    going = {
        (workload, _pod(target), port["port"])
        for workload, policy in policies.items()
        for rule in policy["egress"]
        for target in rule["to"]
        if "podSelector" in target
        for port in rule["ports"]
    }
    assert coming == going == talking(settings)


@pytest.mark.parametrize("workload", [*SERVICES, "gateway"])
def test_stores_are_those_that_the_settings_name(
    settings: dict[str, Any], policies: dict[str, dict[str, Any]], workload: str
) -> None:
    fields = settings[workload].model_fields if workload in settings else {}
    ports = _ports_into(policies[workload], "weir-stores")
    assert ports == {port for store, port in STORE_PORTS.items() if store in fields}
    traces = {4317} | ({16686} if "probes" in fields else set())
    assert _ports_into(policies[workload], "weir-observability") == traces


def test_only_the_gateway_and_the_metrics_api_are_open_to_anybody(policies: dict[str, dict[str, Any]]) -> None:
    found = {
        (workload, port["port"])
        for workload, policy in policies.items()
        for rule in policy["ingress"]
        if "from" not in rule
        for port in rule["ports"]
    }
    assert found == {("gateway", 8443), ("gateway", 9443), ("tenant-admin", 6443)}
    addresses = {
        (workload, port["port"])
        for workload, policy in policies.items()
        for rule in policy["egress"]
        for target in rule["to"]
        if "ipBlock" in target
        for port in rule["ports"]
    }
    assert addresses == {("tenant-admin", 443), ("tenant-admin", 6443)}


@pytest.mark.parametrize("path", ["base/networkpolicy.yaml", "components/silo-tenant/networkpolicy.yaml"])
def test_without_a_policy_there_is_dns_and_nothing_else(k8s: Path, path: str) -> None:
    deny, dns, *rest = yaml.safe_load_all((k8s / path).read_text("utf-8"))
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert dns["spec"]["policyTypes"] == ["Egress"]
    assert {port["port"] for rule in dns["spec"]["egress"] for port in rule["ports"]} == {53}
    for one in rest:
        # A tenant's pods are asked by nobody, and reach no other pods but the stores'.
        assert one["spec"]["policyTypes"] == ["Egress"]
        for rule in one["spec"]["egress"]:
            for target in rule["to"]:
                assert target.keys() == {"namespaceSelector"}


def _pod(peer: dict[str, Any]) -> str:
    """Its name; of this namespace only."""
    assert peer.keys() == {"podSelector"}
    name: str = peer["podSelector"]["matchLabels"][NAME]
    return name


def _ports_into(policy: dict[str, Any], namespace: str) -> set[int]:
    return {
        port["port"]
        for rule in policy["egress"]
        for target in rule["to"]
        if target.get("namespaceSelector", {}).get("matchLabels", {}).get("kubernetes.io/metadata.name") == namespace
        for port in rule["ports"]
    }
