"""Each service's variables, against the services' own settings classes."""

from __future__ import annotations

import dataclasses
from importlib import import_module
from pathlib import Path

import pytest
from weir_common.settings import EdgeSettings
from weir_local.environment import (
    SERVICES,
    USERS_OF_THE_VAULT,
    Addresses,
    Listen,
    Passwords,
    package_of,
    prefix_of,
    schema_of,
    service_environment,
)

ROLES = [f"weir_{schema_of(service)}" for service in SERVICES]
VAULT = "weir_vault"
PASSWORDS = Passwords(
    postgres={name: f"pg-{name}" for role in (*ROLES, VAULT) for name in (role, f"{role}_owner")},
    valkey={role: f"vk-{role}" for role in ROLES},
)
ADDRESSES = Addresses(
    postgres="db:5432",
    kafka="kafka:9092",
    valkey="valkey:6379",
    temporal="temporal:7233",
    listen={service: Listen(service, 8000, 9000) for service in SERVICES},
    jwks=Path("/run/jwks.json"),
    signing_key=Path("/run/key.pem"),
    bootstrap_key=Path("/run/operator"),
    lake=Path("/lake"),
    exports=Path("/exports"),
    exports_key=Path("/run/exports.key"),
    privacy_key=Path("/run/privacy.key"),
    model_store=Path("/state/model-store"),
    models=Path("/models"),
)


@pytest.mark.parametrize("service", SERVICES)
def test_the_service_accepts_its_environment(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in service_environment(service, ADDRESSES, PASSWORDS).items():
        monkeypatch.setenv(name, value)
    module = import_module(f"{package_of(service)}.settings")
    classes = [
        one
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, EdgeSettings) and one.__module__ == module.__name__
    ]
    assert len(classes) == 1
    settings = classes[0]()
    assert settings.listen.http_port == 8000
    assert settings.kafka.bootstrap_servers == "kafka:9092"


@pytest.mark.parametrize("service", SERVICES)
def test_every_variable_has_the_services_prefix_and_no_password_of_another(service: str) -> None:
    environment = service_environment(service, ADDRESSES, PASSWORDS)
    assert all(name.startswith(prefix_of(service)) for name in environment)
    own = f"weir_{schema_of(service)}"
    text = "\n".join(environment.values())
    for role in (*ROLES, VAULT):
        if role != own and not (role == VAULT and service in USERS_OF_THE_VAULT):
            assert f"-{role}@" not in text
            assert f"-{role}_owner@" not in text


def test_names_of_a_service_with_a_hyphen() -> None:
    environment = service_environment("tenant-admin", ADDRESSES, PASSWORDS)
    assert (
        environment["WEIR_TENANT_ADMIN_POSTGRES__DSN"]
        == "postgresql://weir_tenant_admin:pg-weir_tenant_admin@db:5432/weir"
    )
    assert environment["WEIR_TENANT_ADMIN_KUBERNETES__KUBECONFIG"] == ""
    assert environment["WEIR_TENANT_ADMIN_PEERS__FRAUD"] == "fraud:9000"
    assert "WEIR_TENANT_ADMIN_PEERS__TENANT_ADMIN" not in environment
    assert service_environment("fraud", ADDRESSES, PASSWORDS)["WEIR_FRAUD_PEERS__TENANT_ADMIN"] == "tenant-admin:9000"


def test_what_is_not_there_is_not_set() -> None:
    assert "WEIR_FRAUD_TELEMETRY__OTLP_ENDPOINT" not in service_environment("fraud", ADDRESSES, PASSWORDS)
    traced = dataclasses.replace(ADDRESSES, otlp="http://traces:4317")
    assert (
        service_environment("fraud", traced, PASSWORDS)["WEIR_FRAUD_TELEMETRY__OTLP_ENDPOINT"] == "http://traces:4317"
    )


def test_an_unknown_service() -> None:
    with pytest.raises(KeyError):
        service_environment("billing", ADDRESSES, PASSWORDS)
