"""With links, services go through the proxies, and so do Kafka's clients; without, nothing of them exists."""

from __future__ import annotations

from dataclasses import replace

import pytest
from weir_local.addresses import environment_of
from weir_local.components.kafka import _properties
from weir_local.environment import LINKED, link_of
from weir_local.mesh import Mesh
from weir_local.registry import components


@pytest.fixture
def linked(mesh: Mesh) -> Mesh:
    return replace(mesh, links=True)


def test_services_are_given_the_proxies_addresses(linked: Mesh) -> None:
    values = environment_of(linked, "fraud")
    for variable, server in (("POSTGRES__DSN", "postgres"), ("VALKEY__URL", "valkey")):
        assert f"@127.0.0.1:{linked.port(link_of(server))}/" in values[f"WEIR_FRAUD_{variable}"]
    assert values["WEIR_FRAUD_KAFKA__BOOTSTRAP_SERVERS"] == f"127.0.0.1:{linked.port(link_of('kafka'))}"


def test_kafka_advertises_the_proxy_to_those_who_come_through_it(linked: Mesh) -> None:
    lines = _properties(linked).splitlines()
    direct = f"BROKER://127.0.0.1:{linked.port('kafka')}"
    assert f"advertised.listeners={direct},LINKED://127.0.0.1:{linked.port(link_of('kafka'))}" in lines
    assert f"listeners={direct},LINKED://127.0.0.1:{linked.port('kafka-linked')},CONTROLLER" in "\n".join(lines)


def test_without_links_no_port_is_taken_for_them(mesh: Mesh) -> None:
    environment_of(mesh, "fraud")
    assert "LINKED" not in _properties(mesh)
    assert "links" not in {component.name for component in components(mesh)}
    assert not {link_of(server) for server in LINKED} & set(mesh.ports.all())
