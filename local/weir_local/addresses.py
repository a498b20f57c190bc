"""Where everything of a native mesh is: the addresses that services, the gateway, the CLI and tests work with."""

from __future__ import annotations

from weir_gateway.settings import GatewaySettings, Upstream

from weir_local import certificates
from weir_local.environment import (
    LINKED,
    SERVICES,
    SHARED_SCHEMAS,
    Addresses,
    Listen,
    Passwords,
    link_of,
    schema_of,
    service_environment,
)
from weir_local.mesh import Mesh

LOCALHOST = "127.0.0.1"


def addresses(mesh: Mesh) -> Addresses:
    """Every address, path and listener of this mesh."""
    kubernetes = mesh.state / "kubernetes"
    metrics: dict[str, str] = {}
    kubeconfig = kubernetes / "tenant-admin.kubeconfig"
    if mesh.kubernetes:
        ca = mesh.secrets_folder() / "ca"
        metrics = {
            "PORT": str(mesh.port("external-metrics")),
            "CERT_PATH": str(ca / "external-metrics.pem"),
            "KEY_PATH": str(ca / "external-metrics-key.pem"),
            "CLIENT_CA_PATH": str(ca / "front-proxy-ca.pem"),
        }
    stores = {server: f"{LOCALHOST}:{mesh.port(link_of(server) if mesh.links else server)}" for server in LINKED}
    return Addresses(
        postgres=stores["postgres"],
        kafka=stores["kafka"],
        valkey=stores["valkey"],
        temporal=f"{LOCALHOST}:{mesh.port('temporal')}",
        listen={
            service: Listen(LOCALHOST, mesh.port(f"{service}-http"), mesh.port(f"{service}-grpc"))
            for service in SERVICES
        },
        jwks=certificates.jwks(mesh),
        signing_key=certificates.signing_key(mesh),
        bootstrap_key=certificates.bootstrap_key(mesh),
        lake=mesh.folder("lake"),
        exports=mesh.folder("exports", mode=0o700),
        exports_key=certificates.exports_key(mesh),
        privacy_key=certificates.privacy_key(mesh),
        models=mesh.folder("models"),
        model_store=mesh.folder("model-store"),
        otlp=f"http://{LOCALHOST}:{mesh.port('traces-otlp')}",
        traces_url=f"http://{LOCALHOST}:{mesh.port('traces-http')}",
        gateway_admin_url=f"http://{LOCALHOST}:{mesh.port('gateway-admin')}",
        kubeconfig=kubeconfig if mesh.kubernetes else None,
        external_metrics=metrics,
    )


def passwords(mesh: Mesh) -> Passwords:
    """Every role's password, made at its first use."""
    roles = [f"weir_{schema_of(service)}" for service in SERVICES]
    owners = [*roles, *(f"weir_{schema}" for schema in SHARED_SCHEMAS)]
    return Passwords(
        postgres={name: mesh.secret(f"postgres-{name}") for role in owners for name in (role, f"{role}_owner")},
        valkey={role: mesh.secret(f"valkey-{role}") for role in roles},
    )


def environment_of(mesh: Mesh, service: str) -> dict[str, str]:
    """The variables of one service in this mesh."""
    return service_environment(service, addresses(mesh), passwords(mesh))


def gateway_settings(mesh: Mesh) -> GatewaySettings:
    """The gateway of this mesh."""
    server = certificates.server_certificate(mesh, "gateway", ("localhost", "weir.localhost"))
    certificates.client_certificate(mesh, "internal-client")
    where = addresses(mesh)

    def upstream(service: str) -> Upstream:
        listen = where.listen[service]
        return Upstream(host=listen.host, http_port=listen.http_port, grpc_port=listen.grpc_port)

    return GatewaySettings(
        https_port=mesh.port("gateway-https"),
        grpc_port=mesh.port("gateway-grpc"),
        admin_port=mesh.port("gateway-admin"),
        certificate_path=server.certificate,
        private_key_path=server.key,
        client_ca_path=certificates.ca(mesh).certificate,
        jwks_path=where.jwks,
        otlp_host=LOCALHOST,
        otlp_port=mesh.port("traces-otlp"),
        access_log_path="/dev/stdout",
        ingest=upstream("ingest"),
        fraud=upstream("fraud"),
        anomaly=upstream("anomaly"),
        analytics=upstream("analytics"),
        compliance=upstream("compliance"),
        tenant_admin=upstream("tenant-admin"),
    )
