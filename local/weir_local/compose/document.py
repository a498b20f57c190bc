"""docker-compose.yml as a document. What a service reads comes from ``weir_local.environment``; only addresses differ.

What holds a password is found by planting one and lives in an env file that ``make compose-secrets`` makes, never in git.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml
from weir_gateway.settings import GatewaySettings, Upstream

from weir_local.environment import DATABASE, SERVICES, Addresses, Listen, Passwords, service_environment

STATE: Final = ".weir-compose"
"""Beside docker-compose.yml; git ignores it."""
HTTP, GRPC = 8080, 9090
HTTPS, INTERNAL_GRPC, ADMIN = 8443, 9443, 9901
EVERY_INTERFACE: Final = "0.0.0.0"  # noqa: S104 - a container's own network
SECRETS: Final = Path("/run/secrets")
_PLANTED: Final = "planted-password"
_NOTICE: Final = "# Written by `make manifests` (local/weir_local/compose/document.py). First `make compose-secrets`, then `docker compose up`.\n"

SECRET_FILES: Final = {
    "ingest": ("jwks.json", "privacy.key"),
    "fraud": ("jwks.json", "privacy.key"),
    "anomaly": ("jwks.json",),
    "analytics": ("jwks.json",),
    "compliance": ("jwks.json", "exports.key", "privacy.key"),
    "tenant-admin": ("jwks.json", "jwt-signing.pem", "operator-api-key"),
    "gateway": ("jwks.json", "gateway.pem", "gateway-key.pem", "ca.pem"),
}


def addresses(service: str) -> Addresses:
    """Where everything is for the container of ``service``."""
    return Addresses(
        postgres="postgres:5432",
        kafka="kafka:9092",
        valkey="valkey:6379",
        temporal="temporal:7233",
        listen={
            peer: Listen(EVERY_INTERFACE if peer == service else peer, http_port=HTTP, grpc_port=GRPC)
            for peer in SERVICES
        },
        jwks=SECRETS / "jwks.json",
        signing_key=SECRETS / "jwt-signing.pem",
        bootstrap_key=SECRETS / "operator-api-key",
        lake=Path("/var/lib/weir/lake"),
        exports=Path("/var/lib/weir/exports"),
        exports_key=SECRETS / "exports.key",
        privacy_key=SECRETS / "privacy.key",
        models=Path("/opt/weir/models"),
        model_store=Path("/var/lib/weir/models"),
        otlp="http://traces:4317",
        traces_url="http://traces:16686",
        gateway_admin_url=f"http://gateway:{ADMIN}",
        environment="compose",
    )


def environment(service: str, passwords: Passwords | None = None) -> tuple[dict[str, str], dict[str, str]]:
    """Public variables, and those that hold a password."""
    planted = Passwords.all_alike(_PLANTED)
    forms = service_environment(service, addresses(service), planted)
    values = service_environment(service, addresses(service), passwords or planted)
    public = {name: values[name] for name, form in forms.items() if _PLANTED not in form}
    secret = {name: values[name] for name, form in forms.items() if _PLANTED in form}
    return public, secret


def gateway_settings() -> GatewaySettings:
    """The gateway's, with upstreams by their names in the compose network."""

    def upstream(service: str) -> Upstream:
        return Upstream(host=service, http_port=HTTP, grpc_port=GRPC)

    return GatewaySettings(
        listen_host=EVERY_INTERFACE,
        https_port=HTTPS,
        grpc_port=INTERNAL_GRPC,
        admin_host=EVERY_INTERFACE,
        admin_port=ADMIN,
        certificate_path=SECRETS / "gateway.pem",
        private_key_path=SECRETS / "gateway-key.pem",
        client_ca_path=SECRETS / "ca.pem",
        jwks_path=SECRETS / "jwks.json",
        otlp_host="traces",
        otlp_port=4317,
        ingest=upstream("ingest"),
        fraud=upstream("fraud"),
        anomaly=upstream("anomaly"),
        analytics=upstream("analytics"),
        compliance=upstream("compliance"),
        tenant_admin=upstream("tenant-admin"),
    )


def text() -> str:
    """The file."""
    services = _servers() | {service: _service(service) for service in SERVICES} | {"gateway": _gateway()}
    secrets = sorted({name for names in SECRET_FILES.values() for name in names} | {"postgres-superuser"})
    document = {
        "name": "weir",
        "services": services,
        "volumes": {name: {} for name in ("postgres", "valkey", "kafka", "temporal", "lake", "exports", "models")},
        "networks": {"inside": {}},
        "secrets": {name: {"file": f"./{STATE}/files/{name}"} for name in secrets},
    }
    return _NOTICE + yaml.safe_dump(document, sort_keys=False, width=160)


def _service(service: str) -> dict[str, Any]:
    public, _ = environment(service)
    volumes = {
        "analytics": ["lake:/var/lib/weir/lake"],
        "compliance": ["exports:/var/lib/weir/exports"],
        "fraud": ["models:/var/lib/weir/models"],
    }
    needed = ("postgres", "valkey", "kafka", "temporal")
    document: dict[str, Any] = {
        **_built(service),
        "environment": public,
        "env_file": [{"path": f"./{STATE}/environment/{service}.env", "required": True}],
        "depends_on": {name: {"condition": "service_healthy"} for name in needed},
        # It waits for what it needs by itself, for a minute; after that it says why and ends.
        "restart": "unless-stopped",
    }
    if service in volumes:
        document["volumes"] = volumes[service]
    return document


def _gateway() -> dict[str, Any]:
    return {
        **_built("gateway"),
        "volumes": [f"./{STATE}/files/envoy.yaml:/etc/weir/gateway/envoy.yaml:ro"],
        "ports": [f"127.0.0.1:{HTTPS}:{HTTPS}", f"127.0.0.1:{INTERNAL_GRPC}:{INTERNAL_GRPC}"],
        "depends_on": {service: {"condition": "service_healthy"} for service in SERVICES},
        "restart": "unless-stopped",
    }


def _built(service: str) -> dict[str, Any]:
    """What every container of ours has in common."""
    return {
        "image": f"weir/{service}:dev",
        "build": {"context": ".", "dockerfile": "docker/Dockerfile", "args": {"SERVICE": service}},
        "networks": ["inside"],
        "secrets": list(SECRET_FILES[service]),
        "read_only": True,
        "tmpfs": ["/tmp"],  # noqa: S108 - the container's own
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "stop_grace_period": "30s",
        "healthcheck": _health(["CMD", "/opt/weir/healthy"]),
    }


def _servers() -> dict[str, Any]:
    """The same servers as natively, from their makers' images."""
    files = f"./{STATE}/files"
    return {
        "postgres": {
            "image": "postgres:18.4-bookworm",
            "environment": {
                "POSTGRES_USER": "weir",
                "POSTGRES_DB": DATABASE,
                "POSTGRES_PASSWORD_FILE": str(SECRETS / "postgres-superuser"),
                "POSTGRES_INITDB_ARGS": "--data-checksums --auth-host=scram-sha-256",
                "PGDATA": "/var/lib/postgresql/data/pgdata",
            },
            "secrets": ["postgres-superuser"],
            "volumes": [
                "postgres:/var/lib/postgresql/data",
                f"{files}/roles.sql:/docker-entrypoint-initdb.d/10-roles.sql:ro",
            ],
            **_plain(["CMD-SHELL", f"pg_isready --quiet --username weir --dbname {DATABASE} --host 127.0.0.1"]),
        },
        "valkey": {
            "image": "valkey/valkey:9.1-bookworm",
            "command": ["valkey-server", "/etc/valkey/valkey.conf"],
            "volumes": [
                "valkey:/data",
                f"{files}/valkey.conf:/etc/valkey/valkey.conf:ro",
                f"{files}/users.acl:/etc/valkey/users.acl:ro",
            ],
            # Without a password the answer is NOAUTH, and an answer is all that is asked for.
            **_plain(["CMD-SHELL", "valkey-cli ping 2>&1 | grep -q -e PONG -e NOAUTH"]),
        },
        "kafka": {
            "image": "apache/kafka:4.4.0",
            "environment": {
                "KAFKA_NODE_ID": "1",
                "KAFKA_PROCESS_ROLES": "broker,controller",
                "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@kafka:9093",
                "KAFKA_LISTENERS": "BROKER://:9092,CONTROLLER://:9093",
                "KAFKA_ADVERTISED_LISTENERS": "BROKER://kafka:9092",
                "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
                "KAFKA_INTER_BROKER_LISTENER_NAME": "BROKER",
                "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
                "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
                "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
                "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
                "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
                "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": "1",
                "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR": "1",
                "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
                "KAFKA_MESSAGE_MAX_BYTES": "2097152",
                "KAFKA_LOG_FLUSH_INTERVAL_MS": "1000",
                "KAFKA_LOG_FLUSH_SCHEDULER_INTERVAL_MS": "500",
                "KAFKA_LOG_DIRS": "/var/lib/kafka/data",
                "KAFKA_HEAP_OPTS": "-Xms256m -Xmx512m",
            },
            "volumes": ["kafka:/var/lib/kafka/data"],
            **_plain(
                ["CMD-SHELL", "/opt/kafka/bin/kafka-broker-api-versions.sh --bootstrap-server localhost:9092 >/dev/null"],
                start_period="60s",
            ),
        },
        "temporal": {
            "image": "temporalio/temporal:1.9.1",
            "command": ["server", "start-dev", "--ip", EVERY_INTERFACE, "--db-filename", "/var/lib/temporal/temporal.db"],
            "volumes": ["temporal:/var/lib/temporal"],
            "user": "0:0",
            "ports": ["127.0.0.1:8233:8233"],
            **_plain(["CMD", "temporal", "operator", "cluster", "health"]),
        },
        "traces": {
            "image": "jaegertracing/all-in-one:1.76.0",
            "ports": ["127.0.0.1:16686:16686"],
            "networks": ["inside"],
            "restart": "unless-stopped",
        },
    }  # fmt: skip


def _plain(test: list[str], start_period: str = "30s") -> dict[str, Any]:
    return {"networks": ["inside"], "restart": "unless-stopped", "healthcheck": _health(test, start_period)}


def _health(test: list[str], start_period: str = "60s") -> dict[str, Any]:
    return {"test": test, "interval": "5s", "timeout": "5s", "start_period": start_period, "retries": 5}
