"""Writes what must not be written twice: each service's variables, which of them are secrets, and Envoy's configuration.

Variables come from ``weir_local.environment``, the one place that the native mesh uses, too; only addresses differ. What holds a
password is found by planting one, so that a new secret variable cannot slip into a ConfigMap. A service is given only those
secrets that its settings read. ``python k8s/generate.py`` writes; a unit test fails when the files are not what this gives.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic_settings import BaseSettings
from weir_analytics.settings import AnalyticsSettings
from weir_anomaly.settings import AnomalySettings
from weir_compliance.settings import Settings as ComplianceSettings
from weir_fraud.settings import FraudSettings
from weir_gateway.render import bootstrap
from weir_gateway.settings import GatewaySettings, Upstream
from weir_ingest.settings import IngestSettings
from weir_local.environment import (
    SERVICES,
    Addresses,
    Listen,
    Passwords,
    prefix_of,
    service_environment,
)
from weir_tenant_admin.settings import Settings as TenantAdminSettings

ROOT = Path(__file__).parent
EVERY_INTERFACE = "0.0.0.0"  # noqa: S104 - a pod's own network; who may come in is said by NetworkPolicies
HTTP, GRPC = 8080, 9090
GATEWAY_HTTPS, GATEWAY_GRPC, GATEWAY_ADMIN = 8443, 9443, 9901
EXTERNAL_METRICS = 6443

STORES = "weir-stores"
"""The namespace of PostgreSQL, Kafka, Valkey and Temporal: operators or managed services make them, not this repository."""
OBSERVABILITY = "weir-observability"

CONFIG = Path("/etc/weir")
STATE = Path("/var/lib/weir")
SETTINGS: Mapping[str, type[BaseSettings]] = {
    "ingest": IngestSettings,
    "fraud": FraudSettings,
    "anomaly": AnomalySettings,
    "analytics": AnalyticsSettings,
    "compliance": ComplianceSettings,
    "tenant-admin": TenantAdminSettings,
}

_PLANTED = "planted-password"
_NOTICE = "Written by k8s/generate.py; change that, or weir_local/environment.py."


def addresses(service: str) -> Addresses:
    """Where everything is for the pods of ``service``. Peers are named without their namespace: they share it."""
    listen = {
        peer: Listen(EVERY_INTERFACE if peer == service else peer, http_port=HTTP, grpc_port=GRPC) for peer in SERVICES
    }
    return Addresses(
        postgres=f"postgres.{STORES}:5432",
        kafka=f"kafka.{STORES}:9092",
        valkey=f"valkey.{STORES}:6379",
        temporal=f"temporal.{STORES}:7233",
        listen=listen,
        jwks=CONFIG / "jwks" / "jwks.json",
        signing_key=CONFIG / "secrets" / "signing-key.pem",
        bootstrap_key=CONFIG / "secrets" / "operator-api-key",
        lake=STATE / "lake",
        exports=STATE / "exports",
        exports_key=CONFIG / "secrets" / "export-keys",
        privacy_key=CONFIG / "secrets" / "privacy-key",
        # Trained and tested when the image was built: the training's libraries are not in it.
        models=Path("/opt/weir/models"),
        model_store=STATE / "models",
        otlp=f"http://otel-collector.{OBSERVABILITY}:4317",
        traces_url=f"http://traces.{OBSERVABILITY}:16686",
        gateway_admin_url=f"http://gateway-admin:{GATEWAY_ADMIN}",
        kubeconfig=CONFIG / "kubernetes" / "kubeconfig.yaml",
        external_metrics={
            "HOST": EVERY_INTERFACE,
            "PORT": str(EXTERNAL_METRICS),
            "CERT_PATH": str(CONFIG / "external-metrics" / "tls.crt"),
            "KEY_PATH": str(CONFIG / "external-metrics" / "tls.key"),
            "CLIENT_CA_PATH": str(CONFIG / "front-proxy-ca" / "ca.crt"),
        },
        environment="kubernetes",
    )


def environment(service: str) -> tuple[dict[str, str], dict[str, str]]:
    """Public variables; and secret ones, with the form of their values in place of the values."""
    planted = Passwords.all_alike(_PLANTED)
    everything = service_environment(service, addresses(service), planted)
    public = {name: value for name, value in everything.items() if _PLANTED not in value}
    secret = {
        name: value.replace(_PLANTED, "PASSWORD")
        for name, value in everything.items()
        if _PLANTED in value and _is_read(service, name)
    }
    return public, secret


def gateway_settings() -> GatewaySettings:
    """The gateway's, with every listener on the pod's address."""

    def upstream(service: str) -> Upstream:
        return Upstream(host=service, http_port=HTTP, grpc_port=GRPC)

    return GatewaySettings(
        listen_host=EVERY_INTERFACE,
        https_port=GATEWAY_HTTPS,
        grpc_port=GATEWAY_GRPC,
        admin_host=EVERY_INTERFACE,
        admin_port=GATEWAY_ADMIN,
        certificate_path=CONFIG / "tls" / "tls.crt",
        private_key_path=CONFIG / "tls" / "tls.key",
        client_ca_path=CONFIG / "tls" / "ca.crt",
        jwks_path=CONFIG / "jwks" / "jwks.json",
        otlp_host=f"otel-collector.{OBSERVABILITY}",
        otlp_port=4317,
        ingest=upstream("ingest"),
        fraud=upstream("fraud"),
        anomaly=upstream("anomaly"),
        analytics=upstream("analytics"),
        compliance=upstream("compliance"),
        tenant_admin=upstream("tenant-admin"),
    )


def files() -> dict[str, str]:
    """Every file, by its path below ``k8s/``."""
    written = {"base/gateway/envoy.yaml": _envoy()}
    for service in SERVICES:
        public, secret = environment(service)
        lines = [f"# {_NOTICE}", *(f"{name}={value}" for name, value in public.items())]
        written[f"base/{service}/environment.env"] = "\n".join(lines) + "\n"
        written[f"base/{service}/secret-environment.yaml"] = _secret_references(service, secret)
    return written


def _is_read(service: str, variable: str) -> bool:
    section = variable.removeprefix(prefix_of(service)).split("__")[0].lower()
    return section in SETTINGS[service].model_fields


def _secret_references(service: str, secret: Mapping[str, str]) -> str:
    """A patch of the Deployment: each variable from the key of its own name in the service's Secret."""
    head = f"# {_NOTICE}\n"
    if not secret:
        return f"{head}# {service} reads no secret from its environment.\n" + yaml.safe_dump(_deployment(service, []))
    forms = "".join(f"#   {name}: {form}\n" for name, form in secret.items())
    references = [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": f"{service}-environment-secret", "key": name}}}
        for name in secret
    ]
    what = f"# The Secret {service}-environment-secret has these keys, and values of this form:\n"
    return head + what + forms + yaml.safe_dump(_deployment(service, references), sort_keys=False, width=160)


def _deployment(service: str, references: list[dict[str, Any]]) -> dict[str, Any]:
    container: dict[str, Any] = {"name": service}
    if references:
        container["env"] = references
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": service},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }


def _envoy() -> str:
    """The native gateway's configuration; of the admin listener, which probes must reach, only what reads."""
    document = bootstrap(gateway_settings())
    document["admin"]["allow_paths"] = [{"exact": "/ready"}, {"prefix": "/stats"}]
    return f"# {_NOTICE}\n" + yaml.safe_dump(document, sort_keys=False, width=200)


def main() -> int:
    """Write them."""
    for path, text in files().items():
        target = ROOT / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
