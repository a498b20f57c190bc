"""The environment of each service: one place for the native mesh, docker-compose.yml and k8s/, which differ in addresses only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SERVICES = ("ingest", "fraud", "anomaly", "analytics", "compliance", "tenant-admin")
DATABASE = "weir"
VAULT = "vault"
SHARED_SCHEMAS = (VAULT,)
"""Schemas that belong to no one service, each with its two roles: who may use one is given its address."""
USERS_OF_THE_VAULT = ("ingest", "fraud", "compliance")
"""Those that take events in, and the one that opens what was sealed."""
LINKED = ("postgres", "valkey", "kafka")
"""Servers whose link to the services a native mesh can lead through a proxy (``weir up --links``)."""


def schema_of(service: str) -> str:
    """The PostgreSQL schema of a service, also the stem of its two roles: `tenant-admin` → `tenant_admin`."""
    return service.replace("-", "_")


def link_of(server: str) -> str:
    """The name of the port by which the services reach a server through its proxy."""
    return f"{server}-link"


def package_of(service: str) -> str:
    return f"weir_{schema_of(service)}"


def prefix_of(service: str) -> str:
    return f"{package_of(service)}_".upper()


@dataclass(frozen=True, slots=True)
class Listen:
    """Where one service listens."""

    host: str
    http_port: int
    grpc_port: int


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everything is, seen from a service. Ports are integers, paths are absolute."""

    postgres: str
    """host:port"""
    kafka: str
    """host:port[,host:port…]"""
    valkey: str
    """host:port"""
    temporal: str
    """host:port"""
    listen: Mapping[str, Listen]
    """Service → its own listeners; also where its peers and probes find it."""
    jwks: Path
    signing_key: Path
    bootstrap_key: Path
    lake: Path
    exports: Path
    exports_key: Path
    privacy_key: Path
    models: Path
    """Of the model that comes with the release."""
    model_store: Path
    """Of all versions."""
    otlp: str | None = None
    """URL of the OTLP gRPC receiver."""
    traces_url: str | None = None
    gateway_admin_url: str | None = None
    kubeconfig: Path | None = None
    """None: no Kubernetes control plane."""
    external_metrics: Mapping[str, str] = field(default_factory=dict)
    """Port and certificate paths of the external-metrics server, by the last part of their variables' names."""
    environment: str = "local"


@dataclass(frozen=True, slots=True)
class Passwords:
    """Secrets by name of role or user (`weir_fraud`, `weir_fraud_owner`)."""

    postgres: Mapping[str, str]
    valkey: Mapping[str, str]

    @classmethod
    def all_alike(cls, password: str) -> Passwords:
        """The same for every role and user: to see where passwords stand."""
        stems = [f"weir_{schema}" for schema in (*map(schema_of, SERVICES), *SHARED_SCHEMAS)]
        return cls(
            postgres={role: password for stem in stems for role in (stem, f"{stem}_owner")},
            valkey={package_of(service): password for service in SERVICES},
        )


def service_environment(service: str, addresses: Addresses, passwords: Passwords) -> dict[str, str]:
    """Every variable that this service reads, in a stable order. Raises KeyError for a service that does not exist."""
    own = addresses.listen[service]
    application = package_of(service)
    owner = f"{application}_owner"
    database = f"{addresses.postgres}/{DATABASE}"
    owner_dsn = f"postgresql://{owner}:{passwords.postgres[owner]}@{database}"
    values = {
        "LISTEN__HOST": own.host,
        "LISTEN__HTTP_PORT": str(own.http_port),
        "LISTEN__GRPC_PORT": str(own.grpc_port),
        "POSTGRES__DSN": f"postgresql://{application}:{passwords.postgres[application]}@{database}",
        "POSTGRES__OWNER_DSN": owner_dsn,
        "KAFKA__BOOTSTRAP_SERVERS": addresses.kafka,
        "VALKEY__URL": f"redis://{application}:{passwords.valkey[application]}@{addresses.valkey}/0",
        "TEMPORAL__TARGET": addresses.temporal,
        "TEMPORAL__NAMESPACE": "default",
        "TELEMETRY__ENVIRONMENT": addresses.environment,
        "AUTH__JWKS_PATH": str(addresses.jwks),
    }
    if service in USERS_OF_THE_VAULT:
        vault, vault_owner = f"weir_{VAULT}", f"weir_{VAULT}_owner"
        values |= {
            "VAULT__POSTGRES__DSN": f"postgresql://{vault}:{passwords.postgres[vault]}@{database}",
            "VAULT__POSTGRES__OWNER_DSN": f"postgresql://{vault_owner}:{passwords.postgres[vault_owner]}@{database}",
            "VAULT__ROOT_KEY_PATH": str(addresses.privacy_key),
        }
    if addresses.otlp is not None:
        values["TELEMETRY__OTLP_ENDPOINT"] = addresses.otlp
    for peer, listen in addresses.listen.items():
        if peer != service:
            values[f"PEERS__{schema_of(peer).upper()}"] = f"{listen.host}:{listen.grpc_port}"
    values |= _extra(service, addresses, owner_dsn)
    return {prefix_of(service) + name: value for name, value in values.items()}


def _extra(service: str, addresses: Addresses, owner_dsn: str) -> dict[str, str]:
    match service:
        case "ingest":
            return {"PRIVACY__ROOT_KEY_PATH": str(addresses.privacy_key)}
        case "fraud":
            return {"MODEL_DIR": str(addresses.models), "MODELS__STORE": str(addresses.model_store)}
        case "analytics":
            return {"LAKE__WAREHOUSE": str(addresses.lake), "LAKE__CATALOG_DSN": owner_dsn}
        case "compliance":
            return {"EXPORTS__DIR": str(addresses.exports), "EXPORTS__KEY_PATH": str(addresses.exports_key)}
        case "tenant-admin":
            values = {
                "SIGNING_KEY_PATH": str(addresses.signing_key),
                "BOOTSTRAP_KEY_PATH": str(addresses.bootstrap_key),
                "KUBERNETES__KUBECONFIG": str(addresses.kubeconfig or ""),
            }
            if addresses.gateway_admin_url is not None:
                values["PROBES__GATEWAY_ADMIN_URL"] = addresses.gateway_admin_url
            if addresses.traces_url is not None:
                values["PROBES__TRACES_URL"] = addresses.traces_url
            for peer, listen in addresses.listen.items():
                values[f"PROBES__HTTP__{schema_of(peer).upper()}"] = f"http://{listen.host}:{listen.http_port}"
            return values | {f"EXTERNAL_METRICS__{name}": value for name, value in addresses.external_metrics.items()}
        case _:
            return {}
